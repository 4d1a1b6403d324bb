"""`Signal`, which is fastsig's own face, and the code that all faces share.

`Signal` behaves as ``celery.utils.dispatch.Signal`` of Celery 5.7 does; docs/migrating.md lists the
deliberate differences.
"""

from __future__ import annotations

import os
import sys
from types import FunctionType, MethodType

from fastsig.advice import (
    DEVELOPING,
    describe,
    unwrap,
    warn_of_no_sender,
    warn_of_problems,
)
from fastsig.catalog import CATALOG, OF_AN_APP
from fastsig.engine import (
    Policy,
    RobustEngine,
    make_label,
    make_receiver_key,
    quick_send,
    resolve,
    resolve_proxy,
)
from fastsig.senders import find_names, list_senders, read_sender

if DEVELOPING:  # here, because at exit nothing can be imported any more
    from fastsig.development import forget_connection, note_call, watch_connection

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this package
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Hashable, Iterable
    from contextlib import AbstractContextManager
    from typing import Any, Literal, ParamSpec, TypeVar, overload

    from typing_extensions import Unpack  # `typing` has it from 3.11 on

    from fastsig.engine import Engine
    from fastsig.protocol import More, Options, SignalProtocol
    from fastsig.seen import Connection
    from fastsig.standins import Retry
    from fastsig.watching import muted, recorded

    _Receiver = TypeVar("_Receiver", bound=Callable[..., Any])
    _P = ParamSpec("_P")
    _R = TypeVar("_R")


__all__ = ["Signal", "receiver"]


FAILED = "Signal handler %r raised: %r"


class LoggingPolicy(Policy):
    """Logs an exception of a receiver and makes it the response; matches tasks by name."""

    unplanned = DEVELOPING

    if DEVELOPING:

        def call(self, signal: Any, receiver: Any, sender: Any, named: dict[str, Any]) -> Any:
            """Call a receiver, and check its response: see `fastsig.development`."""
            forget_connection(vars(signal).get("_fastsig", signal), receiver)
            response = super().call(signal, receiver, sender, named)
            return note_call(signal, receiver, response)

    def names_of(self, sender: Any) -> tuple[str, ...]:
        """Return the names of a sender that is a task."""
        return find_names(sender)

    def read_sender(self, sender: Any) -> Any:
        """Return the sender that a caller of `connect` or `has_listeners` means."""
        return read_sender(sender)

    def get_logger(self) -> logging.Logger:
        import logging

        return logging.getLogger("fastsig")

    def fail(self, signal: Any, receiver: Any, exception: Exception) -> Any:
        """Log the exception, and return it as the response."""
        self.get_logger().error(
            FAILED,
            make_printable(receiver),
            make_printable(exception),
            exc_info=exception,
        )
        return exception


class RaisingPolicy(LoggingPolicy):
    """Raises an exception of a receiver from `send`; the receivers after it are not called."""

    def fail(self, signal: Any, receiver: Any, exception: Exception) -> Any:
        """Raise the exception again."""
        raise exception


class Collected:
    """The response of a receiver that raised, until all have been called."""

    __slots__ = ("exception",)

    exception: Exception

    def __init__(self, exception: Exception) -> None:
        self.exception = exception


class CollectingPolicy(LoggingPolicy):
    """Calls all receivers, then raises their exceptions as a group."""

    def fail(self, signal: Any, receiver: Any, exception: Exception) -> Any:
        """Keep the exception for `finish`."""
        return Collected(exception)

    def finish(self, signal: Any, responses: list[tuple[Any, Any]]) -> Any:
        """Raise what the receivers raised."""
        exceptions = []
        for i, (receiver, response) in enumerate(responses):
            if type(response) is Collected:
                exceptions.append(response.exception)
                responses[i] = receiver, response.exception
        try:
            raise make_group(signal, exceptions)
        finally:
            del exceptions, responses, response  # a traceback refers to this frame


def make_group(signal: Any, exceptions: list[Exception]) -> Exception:
    """Return an `ExceptionGroup`; on Python 3.10, which has none, the first exception."""
    if sys.version_info >= (3, 11):
        count = f"{len(exceptions)} receiver{'s' * (len(exceptions) != 1)}"
        return ExceptionGroup(f"{count} of {name_of(signal)} raised", exceptions)  # noqa: F821
    for another in exceptions[1:]:
        LOGGING.get_logger().error("%r was raised, too", make_printable(another), exc_info=another)
    return exceptions[0]


LOGGING = LoggingPolicy()

POLICIES: dict[str, LoggingPolicy] = {
    "log": LOGGING,
    "raise": RaisingPolicy(),
    "collect": CollectingPolicy(),
}


class Anyone:
    """Stands for a sender that the caller did not pass."""

    def __repr__(self) -> str:
        return "<any sender>"


ANYONE = Anyone()


class Signal(RobustEngine):
    """A signal: receivers connect to it, and `send` calls them.

    Arguments:
        providing_args: The names of the arguments that the signal sends.  They are documentation
            only, and are not checked.
        use_caching: Ignored, because finding the receivers is always fast; Celery has it.
        name: The name of the signal, for `repr` and messages.
        on_error: What happens to an `Exception` that a receiver raises.  With ``"log"``, it is
            logged and becomes the response.  With ``"raise"``, `send` raises it, and the receivers
            after it are not called.  With ``"collect"``, all receivers are called, then `send`
            raises an `ExceptionGroup`.

    Raises:
        ValueError: `on_error` has another value.
    """

    __slots__ = ("__dict__", "name", "providing_args", "use_caching")

    name: str | None
    providing_args: set[str]
    use_caching: bool

    def __init__(
        self,
        providing_args: Iterable[str] | None = None,
        use_caching: bool = False,
        name: str | None = None,
        on_error: Literal["log", "raise", "collect"] = "log",
    ) -> None:
        if on_error == "log":
            self.configure(LOGGING)
        else:
            self.configure(find_policy(on_error))
        self.name = name
        self.providing_args = set(() if providing_args is None else providing_args)
        self.use_caching = use_caching
        # CPython looks up `send` in another way for a name that is imported: 30 ns more, unless the
        # `__dict__` has it.  That makes a cycle, so it is only for a signal that lives as long as
        # its module.
        if (
            quick_send is not None
            and sys._getframe(1).f_code.co_name == "<module>"
            and type(self).send is RobustEngine.send
        ):
            vars(self)["send"] = quick_send.__get__(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.name} providing_args={self.providing_args!r}>"

    def __reduce__(self) -> Any:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    if TYPE_CHECKING:  # as in `SignalProtocol`

        @overload
        def connect(
            self,
            receiver: _Receiver,
            sender: object = None,
            weak: bool = True,
            dispatch_uid: Hashable = None,
            retry: Literal[False] = False,
            **more: Unpack[More],
        ) -> _Receiver: ...
        @overload
        def connect(
            self,
            receiver: Callable[_P, _R],
            sender: object = None,
            weak: bool = True,
            dispatch_uid: Hashable = None,
            *,
            retry: bool | Retry,
            **more: Unpack[More],
        ) -> Callable[_P, _R]: ...
        @overload
        def connect(
            self,
            receiver: Callable[_P, _R],
            sender: object,
            weak: bool,
            dispatch_uid: Hashable,
            retry: bool | Retry,
            **more: Unpack[More],
        ) -> Callable[_P, _R]: ...
        @overload
        def connect(
            self,
            receiver: None = None,
            sender: object = None,
            weak: bool = True,
            dispatch_uid: Hashable = None,
            retry: Literal[False] = False,
            **more: Unpack[More],
        ) -> Callable[[_Receiver], _Receiver]: ...
        @overload
        def connect(
            self,
            receiver: None = None,
            sender: object = None,
            weak: bool = True,
            dispatch_uid: Hashable = None,
            *,
            retry: bool | Retry,
            **more: Unpack[More],
        ) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]: ...

    def connect(
        self,
        receiver: Callable[..., Any] | None = None,
        sender: object = None,
        weak: bool = True,
        dispatch_uid: Hashable = None,
        retry: bool | Retry = False,
        *,
        senders: Iterable[object] | None = None,
        subclasses: bool = False,
        on_error: Literal["raise"] | None = None,
        once: bool = False,
    ) -> Any:
        """Connect a receiver; also as a decorator, ``@signal.connect`` with or without options.

        If there is a connection with the same receiver key for the same sender, nothing changes.
        The key is `dispatch_uid`, or else the receiver's ``_dispatch_uid``, or else the identity of
        the receiver; for a bound method, that of its object and its function.

        Arguments:
            receiver: `send` calls it as ``receiver(signal=..., sender=..., **named)``.  If it
                does not take ``**kwargs``, it gets only the arguments that it names.
            sender: Receive only from this sender; None for any.  A str or bytes is compared by
                value, everything else by identity.  But a Celery task and its name match, and a
                shared task matches the task of that name in any app.  A proxy counts as its target;
                a proxy that cannot be evaluated yet (Celery's ``PromiseProxy``) is connected later.
            weak: Hold the receiver by a weak reference: when it is garbage collected, it is
                disconnected.
            dispatch_uid: The key of the receiver, instead of its identity.
            retry: When the receiver raises an `Exception`, call it again, as this `Retry` says.
                True retries until it succeeds, after 2, 4, 6 ... and at most 30 seconds.  The
                sender waits.  This implies ``weak=False``.
            senders: Several senders, instead of `sender`.  Each makes a connection; if more than
                one of them matches a send, the receiver is called once.
            subclasses: If a sender is a class, it also matches its subclasses (also those that are
                defined later) and the instances of all these classes.
            on_error: With ``"raise"``, `send` raises an `Exception` of this receiver, and the
                receivers after it are not called.
            once: Disconnect the receiver when it is called for the first time; with several
                `senders`, for each of them.  This implies ``weak=False``.

        Returns:
            The receiver; with `retry`, the function that wraps it; without a receiver, a
            decorator.

        Raises:
            TypeError: The receiver is not callable or cannot be weakly referenced, `dispatch_uid`
                is not hashable, or `sender`, `senders` and `subclasses` do not fit together.
                Nothing is connected.
            ValueError: `on_error` has another value.
        """
        if (  # the usual case, in which `connect_receiver` would do the same
            type(receiver) is FunctionType
            and weak
            and dispatch_uid is None
            and not (retry or subclasses or once or DEVELOPING)
            and senders is None
            and on_error is None
            and (sender is None or not hasattr(type(sender), "_get_current_object"))
            and getattr(self, "name", None) not in KNOWN
        ):
            reference = self.make_reference(receiver)
            self.add_connection(make_receiver_key(receiver), reference, sender)
            return receiver
        if not callable(receiver):
            if isinstance(receiver, (str, bytes)):  # @signal.connect("name"), as in Celery
                receiver, sender, given = None, receiver, sender
                if given is not None:
                    raise TypeError("connect() got multiple values for argument 'sender'")
            if receiver is None:
                check_on_error(on_error)
                options = {"senders": senders, "subclasses": subclasses, "once": once}
                options["on_error"] = on_error
                return make_decorator(self, sender, weak, dispatch_uid, retry, **options)
        return connect_receiver(
            *(self, self, LOGGING, receiver, sender, weak, dispatch_uid, retry),
            senders=senders,
            subclasses=subclasses,
            on_error=on_error,
            once=once,
        )

    def _connect_proxy(
        self, receiver: Any, sender: object, weak: bool, dispatch_uid: Hashable
    ) -> None:
        self.connect(receiver, resolve_proxy(sender), weak, dispatch_uid)

    def disconnect(
        self,
        receiver: Callable[..., Any] | None = None,
        sender: object = None,
        weak: bool | None = None,
        dispatch_uid: Hashable = None,
        *,
        senders: Iterable[object] | None = None,
        subclasses: bool = False,
    ) -> bool:
        """Disconnect a receiver.

        Arguments:
            receiver: The receiver; not needed with a `dispatch_uid`.
            sender: The `sender` that was passed to `connect`.
            weak: Deprecated, and ignored.
            dispatch_uid: The `dispatch_uid` that was passed to `connect`.
            senders: The `senders` that were passed to `connect`, or some of them.
            subclasses: The `subclasses` that was passed to `connect`.

        Returns:
            Whether there was such a connection.

        Raises:
            TypeError: The arguments are invalid, as for `connect`.
        """
        if weak is not None:
            import warnings

            warnings.warn(
                "Passing `weak` to disconnect has no effect.", DeprecationWarning, stacklevel=2
            )
        return disconnect_receiver(self, receiver, sender, dispatch_uid, senders, subclasses)

    def connections(self) -> list[Connection]:
        """Return the connections, in order.

        See `fastsig.seen.Connection` for their attributes.
        """
        from fastsig.seen import list_connections

        return list_connections(self)

    def explain(self, receiver: Callable[..., Any] | str, sender: object = ANYONE) -> str:
        """Explain whether a send in this process would call a receiver now, and why.

        Arguments:
            receiver: The receiver, or its name if it no longer exists.
            sender: The sender, as for `connect`.  If it is left out, any sender.

        Returns:
            Text of several lines.  The first begins with ``called`` or with ``not called:``.
        """
        from fastsig.seen import explain

        return explain(self, self, receiver, sender)

    def connected(
        self, receiver: Callable[..., Any], sender: object = None, **options: Any
    ) -> AbstractContextManager[None]:
        """Return a context manager in which a receiver is connected.

        If there is a connection with the same keys already, it stays when the block ends.

        Arguments:
            receiver: The receiver.
            sender: Receive only from this sender; None for any.
            **options: The other options of `connect`.
        """
        from fastsig.standins import Connected

        return Connected(self, receiver, sender, options)

    def muted(self, sender: object = None, receiver: Callable[..., Any] | None = None) -> muted:
        """Return a context manager and decorator that mutes this signal; see `fastsig.muted`."""
        from fastsig.watching import muted

        return muted(self, sender=sender, receiver=receiver)

    def recorded(self, sender: object = None) -> recorded:
        """Return a context manager that records the sends; see `fastsig.recorded`."""
        from fastsig.watching import recorded

        return recorded(self, sender=sender)

    async def asend(self, /, sender: Any, **named: Any) -> list[tuple[Any, Any]]:
        """Send, and await the receivers that are coroutine functions, concurrently.

        The other receivers are called first, in the thread of the event loop.

        Arguments:
            sender: Who sends the signal, or None.
            **named: The arguments for the receivers.

        Returns:
            ``[(receiver, response), ...]`` in the order of connection.
        """
        from fastsig.asynchronous import asend

        return await asend(self, sender, named)


AROUND = {name: vars(Signal)[name] for name in ("asend", "connected", "muted", "recorded")}
"""The methods that are the same in every face."""


# Shared by all faces

KNOWN = {*CATALOG, *OF_AN_APP}
ANYBODY = [None]


def connect_receiver(  # noqa: PLR0912
    signal: Any,
    engine: Engine,
    policy: LoggingPolicy,
    receiver: Any,
    sender: Any = None,
    weak: bool = True,
    dispatch_uid: Hashable = None,
    retry: bool | Retry = False,
    senders: Iterable[object] | None = None,
    subclasses: bool = False,
    on_error: str | None = None,
    once: bool = False,
) -> Any:
    """Connect a receiver to the engine of a signal, as `Signal.connect` describes."""
    if not callable(receiver):
        raise TypeError(
            f"receiver must be callable, got {type(receiver).__name__!r};"
            " to filter by sender, write connect(sender=...)"
        )
    raising = on_error is not None and check_on_error(on_error)
    receiver_key = make_receiver_key(receiver, dispatch_uid)
    if sender is None and senders is None and not subclasses:
        listed = ANYBODY
    else:
        listed = list_senders(sender, senders, subclasses)
        if not listed:
            warn_of_no_sender(signal, receiver)
    if getattr(signal, "name", None) in KNOWN:
        warn_of_problems(signal, receiver, listed)
    if retry:
        from fastsig.standins import make_retrying

        receiver, weak = make_retrying(receiver, policy, retry), False
        receiver._dispatch_uid = receiver_key
    connected = receiver
    if once:
        from fastsig.standins import make_once

        weak = False
    reference = make_weak(engine, receiver) if weak else receiver
    for each in listed:
        if once:  # each sender once
            reference = connected = make_once(engine, receiver, receiver_key, each)
        if each is not None and hasattr(type(each), "__then__"):
            # A proxy that may not be evaluated yet: it calls this when it is, or at once.
            if raising or once:
                each.__then__(add_later, engine, receiver_key, connected, weak, each, raising)
            else:
                each.__then__(signal._connect_proxy, receiver, each, weak, dispatch_uid)
            continue
        there = engine.add_connection(receiver_key, reference, each, (), raising)
        if there is None:
            if DEVELOPING and weak:
                watch_connection(signal, engine, receiver)
        elif dispatch_uid:
            remember_refused(engine, receiver, dispatch_uid, there)
    return receiver


def make_decorator(signal: Signal, *args: Any, **options: Any) -> Any:
    """Return a decorator that connects."""
    # Not in `Signal.connect`: each call of that would make a cell for each argument.
    return lambda receiver: connect_receiver(signal, signal, LOGGING, receiver, *args, **options)


def add_later(
    engine: Engine, receiver_key: Any, receiver: Any, weak: bool, sender: Any, raising: bool
) -> None:
    """Add a connection for a sender that is a proxy, which has just been evaluated."""
    reference = make_weak(engine, receiver) if weak else receiver
    engine.add_connection(receiver_key, reference, resolve_proxy(sender), (), raising)


def remember_refused(engine: Engine, receiver: Any, uid: Hashable, reference: Any) -> None:
    """Remember, for `explain`, that a receiver was refused: another one has its `dispatch_uid`."""
    other = resolve(reference)
    if other is not None and make_label(unwrap(other)) != make_label(unwrap(receiver)):
        engine.remember(
            unwrap(receiver),
            f"{describe(other)} was connected with the same dispatch_uid, {uid!r}, before",
        )


def disconnect_receiver(
    engine: Engine,
    receiver: Any,
    sender: object = None,
    dispatch_uid: Hashable = None,
    senders: Iterable[object] | None = None,
    subclasses: bool = False,
) -> bool:
    """Disconnect a receiver from the engine of a signal, as `Signal.disconnect` describes."""
    receiver_key = make_receiver_key(receiver, dispatch_uid)
    if DEVELOPING and receiver is not None:
        forget_connection(engine, receiver)
    found = False
    for each in list_senders(sender, senders, subclasses):
        found = engine.remove_connection(receiver_key, each) or found
    return found


def check_on_error(on_error: str | None) -> bool:
    """Return whether `send` should raise the exceptions of a receiver.

    Raises:
        ValueError: `on_error` is neither None nor ``"raise"``.
    """
    if on_error is None:
        return False
    if on_error != "raise":
        raise ValueError(f"on_error of a receiver must be 'raise' or None, got {on_error!r}")
    return True


def find_policy(on_error: str) -> LoggingPolicy:
    """Return the policy for an `on_error` of a signal.

    Raises:
        ValueError: There is none.
    """
    try:
        return POLICIES[on_error]
    except (KeyError, TypeError):
        raise ValueError(
            f"on_error of a signal must be 'log', 'raise' or 'collect', got {on_error!r}"
        ) from None


def make_weak(engine: Engine, receiver: Any) -> Any:
    """Return a weak reference to a receiver, or a proxy itself if it cannot be weakly referenced.

    Raises:
        TypeError: It cannot be weakly referenced, or it is a method object that is created anew at
            each access, so that the reference would die at once.
    """
    if (
        type(receiver) is not FunctionType
        and type(receiver) is not MethodType
        and hasattr(receiver, "__func__")
        and hasattr(receiver, "__self__")
    ):  # such as wrapt's
        raise TypeError(
            f"{type(receiver).__name__!r} is a method that is created anew at each access, so a"
            " weak reference to it dies at once: connect it with weak=False"
        )
    try:
        return engine.make_reference(receiver)
    except TypeError:
        kind = type(receiver)
        if hasattr(kind, "_get_current_object") or getattr(kind, "_fastsig_kept", False):
            return receiver  # a Proxy of a shared task, or a receiver that `queued` returned
        raise TypeError(
            f"{type(receiver).__name__!r} cannot be weakly referenced: connect it with weak=False"
        ) from None


def name_of(signal: Any) -> str:
    """Return the name of a signal for a message."""
    return getattr(signal, "name", None) or repr(signal)


class _Unprintable:
    """Replaces an object whose own `repr` raises in a log record."""

    def __init__(self, thing: object) -> None:
        self.text = object.__repr__(thing)

    def __repr__(self) -> str:
        return self.text


def make_printable(thing: object) -> object:
    """Return `thing`, or an object to log in its place if its `repr` raises."""
    try:
        repr(thing)
    except Exception:
        return _Unprintable(thing)
    return thing


def _import_all() -> None:
    new = "logging" not in sys.modules
    for name in ("inspect", "logging", "time", "warnings", "fastsig.standins", "fastsig.watching"):
        __import__(name)
    if new:
        # logging has its own fork hooks: the one that releases its lock will run, but the one that
        # acquires it was registered too late to run for this fork.
        sys.modules["logging"]._lock.acquire()


if hasattr(os, "register_at_fork"):
    # If another thread is importing a module when we fork, the child can never import it: its
    # import lock stays held.
    os.register_at_fork(before=_import_all)


def receiver(
    signal: SignalProtocol | Iterable[SignalProtocol], **options: Unpack[Options]
) -> Callable[[_Receiver], _Receiver]:
    """Return a decorator that connects a function to a signal, or to each of several.

    It works like Django's decorator of that name.

    Arguments:
        signal: A signal, or an iterable of signals.
        **options: The options of `Signal.connect`.
    """
    signals = [signal] if hasattr(signal, "connect") else list(signal)

    def connect(function: _Receiver) -> _Receiver:
        for each in signals:
            each.connect(function, **options)
        return function

    return connect
