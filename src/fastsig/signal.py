"""fastsig's own face: `Signal`, and what it shares with the faces of hosts.

`Signal` behaves as ``celery.utils.dispatch.Signal`` of Celery 5.7 does; docs/migrating.md lists
where it differs on purpose.
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
from fastsig.engine import Policy, RobustEngine, make_key, make_label, resolve, resolve_proxy
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
    """Logs what a receiver raises, and makes it the response; knows tasks by name."""

    unplanned = DEVELOPING

    if DEVELOPING:

        def call(self, signal: Any, receiver: Any, sender: Any, named: dict[str, Any]) -> Any:
            """Call a receiver, and look at what it does: see `fastsig.development`."""
            forget_connection(vars(signal).get("_fastsig", signal), receiver)
            response = super().call(signal, receiver, sender, named)
            return note_call(signal, receiver, response)

    def names_of(self, sender: Any) -> tuple[str, ...]:
        """Return the name of a task."""
        return find_names(sender)

    def read_sender(self, sender: Any) -> Any:
        """Return what somebody means with `sender` who connects for it or asks for it."""
        return read_sender(sender)

    def get_logger(self) -> logging.Logger:
        import logging

        return logging.getLogger("fastsig")

    def fail(self, signal: Any, receiver: Any, exception: Exception) -> Any:
        """Log the exception; it is the response."""
        self.get_logger().error(
            FAILED,
            make_printable(receiver),
            make_printable(exception),
            exc_info=exception,
        )
        return exception


class RaisingPolicy(LoggingPolicy):
    """Lets what a receiver raises reach the sender; those after it are not called."""

    def fail(self, signal: Any, receiver: Any, exception: Exception) -> Any:
        """Raise the exception again."""
        raise exception


class Collected:
    """The response of a receiver that raised, until all have been called."""

    __slots__ = ("exception",)

    def __init__(self, exception: Exception) -> None:
        self.exception = exception


class CollectingPolicy(LoggingPolicy):
    """Lets all receivers run, then raises what they raised."""

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
    """Return an `ExceptionGroup`; the first exception where Python has none (3.10)."""
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
    """Stands for a sender that was not given."""

    def __repr__(self) -> str:
        return "<any sender>"


ANYONE = Anyone()


class Signal(RobustEngine):
    """A signal: receivers connect to it, and `send` calls them.

    Arguments:
        providing_args: The names of the arguments that are sent.  They are documentation, and
            nothing is checked against them.
        use_caching: Accepted for Celery's sake; finding the receivers is always fast.
        name: What the signal is called, for `repr`.
        on_error: What becomes of an `Exception` of a receiver.  With ``"log"`` it is logged, and is
            the response; with ``"raise"`` it reaches the sender, and the receivers after it are not
            called; with ``"collect"`` all are called, then the sender gets an `ExceptionGroup`.

    Raises:
        ValueError: `on_error` is something else.
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

        A receiver that is connected already (the same key, for the same sender) is not connected
        again.  The key is `dispatch_uid`, or else the receiver's ``_dispatch_uid``, or else the
        receiver itself: a bound method is known by its object and its function.

        Arguments:
            receiver: What to call, as ``receiver(signal=..., sender=..., **named)``.  If it does
                not take ``**kwargs`` it gets those arguments that it has a name for.
            sender: The only sender to receive from; None for any.  A str or bytes is compared by
                its value, everything else by identity; but a task and its name stand for each
                other, and a shared task for the task of its name in whatever app.  A proxy stands
                for its target, and one that cannot be evaluated yet (Celery's ``PromiseProxy``)
                connects when it is.
            weak: Refer to the receiver weakly: it is disconnected when nothing else refers to it.
            dispatch_uid: The key of the receiver, in place of its own.
            retry: When the receiver raises an `Exception`, call it again, as a `Retry` says; True
                is until it succeeds, after 2, 4, 6 ... and at most 30 seconds.  The sender waits.
                It is referred to strongly.
            senders: Several senders, in the place of `sender`.  Each is a connection of its own;
                who is reached by more than one of them is called once.
            subclasses: A sender that is a class stands for itself, its subclasses (also those that
                are made later) and the instances of all of them.
            on_error: With ``"raise"`` an `Exception` of this receiver reaches the sender; those
                after it are not called.
            once: Disconnect the receiver when it is called, and call it no more; of several
                `senders`, for each of them.  Until then it is referred to strongly.

        Returns:
            The receiver; with `retry` the function that calls it; without a receiver, a
            decorator that connects one.

        Raises:
            TypeError: The receiver is not callable or cannot be weakly referenced,
                `dispatch_uid` is not hashable, or there is no such combination of `sender`,
                `senders` and `subclasses`.  Nothing is connected.
            ValueError: `on_error` is something else.
        """
        if not callable(receiver):
            if isinstance(receiver, (str, bytes)):  # @signal.connect("name"), as in Celery
                receiver, sender, given = None, receiver, sender
                if given is not None:
                    raise TypeError("connect() got multiple values for argument 'sender'")
            if receiver is None:
                check_on_error(on_error)
                return lambda receiver: connect_receiver(
                    *(self, self, LOGGING, receiver, sender, weak, dispatch_uid, retry),
                    senders=senders,
                    subclasses=subclasses,
                    on_error=on_error,
                    once=once,
                )
        if senders is None and not subclasses and on_error is None and not once:  # it is faster
            return connect_receiver(
                self, self, LOGGING, receiver, sender, weak, dispatch_uid, retry
            )
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
            receiver: The receiver; not needed if it was connected with a `dispatch_uid`.
            sender: The sender that it was connected with.
            weak: Deprecated, and without effect.
            dispatch_uid: The `dispatch_uid` that it was connected with.
            senders: The senders that it was connected with, or some of them.
            subclasses: Whether it was connected with the subclasses of the sender.

        Returns:
            Whether there was such a connection.

        Raises:
            TypeError: `dispatch_uid` is not hashable, or as for `connect`.
        """
        if weak is not None:
            import warnings

            warnings.warn(
                "Passing `weak` to disconnect has no effect.", DeprecationWarning, stacklevel=2
            )
        return disconnect_receiver(self, receiver, sender, dispatch_uid, senders, subclasses)

    def connections(self) -> list[Connection]:
        """Return the connections, in order.

        Each has the `receiver`, its `sender` (None for any), whether it is `weak`, its
        `dispatch_uid`, `where` it is defined (``"proj/handlers.py:12"``), and whether `subclasses`
        of the sender count.
        """
        from fastsig.seen import list_connections

        return list_connections(self)

    def explain(self, receiver: Callable[..., Any] | str, sender: object = ANYONE) -> str:
        """Tell whether a send would call a receiver here and now, and why.

        Arguments:
            receiver: The receiver, or its name: of one that is gone, that is what is left.
            sender: Who sends: whatever `connect` takes for one.  If it is not given, any sender.

        Returns:
            Lines to read.  The first begins with ``called`` or with ``not called:``.
        """
        from fastsig.seen import explain

        return explain(self, self, receiver, sender)

    def connected(
        self, receiver: Callable[..., Any], sender: object = None, **options: Any
    ) -> AbstractContextManager[None]:
        """Return a context manager in which a receiver is connected.

        A connection with the same keys that there is already is left alone.

        Arguments:
            receiver: The receiver.
            sender: The only sender to receive from; None for any.
            **options: The other options of `connect`.
        """
        from fastsig.standins import Connected

        return Connected(self, receiver, sender, options)

    def muted(self, sender: object = None, receiver: Callable[..., Any] | None = None) -> muted:
        """Return a context manager, and decorator, that keeps receivers from being called here.

        See `fastsig.muted`.
        """
        from fastsig.watching import muted

        return muted(self, sender=sender, receiver=receiver)

    def recorded(self, sender: object = None) -> recorded:
        """Return a context manager that records what is sent; see `fastsig.recorded`."""
        from fastsig.watching import recorded

        return recorded(self, sender=sender)

    async def asend(self, /, sender: Any, **named: Any) -> list[tuple[Any, Any]]:
        """Send, and await the receivers that are coroutine functions, all together.

        The others are called first, in the thread of the event loop.

        Arguments:
            sender: Who sends the signal, or None.
            **named: What the receivers are told.

        Returns:
            ``[(receiver, response), ...]`` in the order of connection.
        """
        from fastsig.asynchronous import asend

        return await asend(self, sender, named)


AROUND = {name: vars(Signal)[name] for name in ("asend", "connected", "muted", "recorded")}
"""The methods of a signal that every face has alike."""


# What the faces share

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
    raising = check_on_error(on_error)
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
        if DEVELOPING and weak and there is None:
            watch_connection(signal, engine, receiver)
        if there is not None and dispatch_uid:
            remember_refused(engine, receiver, dispatch_uid, there)
    return receiver


def add_later(
    engine: Engine, receiver_key: Any, receiver: Any, weak: bool, sender: Any, raising: bool
) -> None:
    """Add a connection whose sender is a proxy that has just been evaluated."""
    reference = make_weak(engine, receiver) if weak else receiver
    engine.add_connection(receiver_key, reference, resolve_proxy(sender), (), raising)


def remember_refused(engine: Engine, receiver: Any, uid: Hashable, reference: Any) -> None:
    """Remember that a receiver was not connected: another one has its `dispatch_uid`."""
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
    """Return whether a receiver's exceptions are to reach the sender.

    Raises:
        ValueError: `on_error` is unknown.
    """
    if on_error is None:
        return False
    if on_error != "raise":
        raise ValueError(f"on_error of a receiver must be 'raise' or None, got {on_error!r}")
    return True


def find_policy(on_error: str) -> LoggingPolicy:
    """Return the policy of a signal.

    Raises:
        ValueError: `on_error` is unknown.
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
        TypeError: It cannot be weakly referenced, or is made anew at each access, so that it would
            be dead before it could be called.
    """
    if (
        type(receiver) not in (FunctionType, MethodType)
        and hasattr(receiver, "__func__")
        and hasattr(receiver, "__self__")
    ):  # such as wrapt's
        raise TypeError(
            f"{type(receiver).__name__!r} is a method made anew at each access, so a weak reference"
            " to it dies at once: connect it with weak=False"
        )
    try:
        return engine.make_reference(receiver)
    except TypeError:
        kind = type(receiver)
        if hasattr(kind, "_get_current_object") or getattr(kind, "_fastsig_kept", False):
            return receiver  # Celery's Proxy, of a shared task; what `queued` returns
        raise TypeError(
            f"{type(receiver).__name__!r} cannot be weakly referenced: connect it with weak=False"
        ) from None


def make_receiver_key(receiver: object, dispatch_uid: Hashable = None) -> Hashable:
    """Return the key of a receiver: its `dispatch_uid`, or what it is.

    Raises:
        TypeError: `dispatch_uid` is not hashable.
    """
    if dispatch_uid is not None:
        try:
            hash(dispatch_uid)
        except TypeError:
            raise TypeError(
                f"dispatch_uid must be hashable, got {type(dispatch_uid).__name__!r}"
            ) from None
        if dispatch_uid:
            return dispatch_uid
    own: Hashable = getattr(receiver, "_dispatch_uid", _NONE)
    return make_key(receiver) if own is _NONE else own


_NONE = object()


def name_of(signal: Any) -> str:
    """Return what to call a signal in a message."""
    return getattr(signal, "name", None) or repr(signal)


class _Unprintable:
    """Stands in a log record for something whose own `repr` raises."""

    def __init__(self, thing: object) -> None:
        self.text = object.__repr__(thing)

    def __repr__(self) -> str:
        return self.text


def make_printable(thing: object) -> object:
    """Return `thing`, or what to log in its place if its `repr` raises."""
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
        # Imported after the fork began, it acquires nothing before, but releases afterwards.
        sys.modules["logging"]._lock.acquire()


if hasattr(os, "register_at_fork"):
    # What another thread is importing while a process forks, the child can never import.
    os.register_at_fork(before=_import_all)


def receiver(
    signal: SignalProtocol | Iterable[SignalProtocol], **options: Unpack[Options]
) -> Callable[[_Receiver], _Receiver]:
    """Return a decorator that connects a function to a signal, or to each of several.

    It is the decorator of that name that Django has.

    Arguments:
        signal: A signal, or a list or other iterable of signals.
        **options: The options of `Signal.connect`.
    """
    signals = [signal] if hasattr(signal, "connect") else list(signal)

    def connect(function: _Receiver) -> _Receiver:
        for each in signals:
            each.connect(function, **options)
        return function

    return connect
