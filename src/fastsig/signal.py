"""Signals: the Python API over the core, and the choice of the core.

`Signal` behaves as ``celery.utils.dispatch.Signal`` of Celery 5.7 does; where it differs, it does
so on purpose (README, "What is better").
"""

from __future__ import annotations

import os
import sys

from fastsig._shared import key, target

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this package
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Hashable, Iterable
    from typing import Any, ClassVar, Literal, ParamSpec, TypedDict, TypeVar, overload

    from typing_extensions import Unpack  # `typing` has it from 3.11 on

    _Receiver = TypeVar("_Receiver", bound=Callable[..., Any])
    _P = ParamSpec("_P")
    _R = TypeVar("_R")

    class _Options(TypedDict, total=False):
        sender: object
        weak: bool
        dispatch_uid: Hashable
        retry: bool


__all__ = ["Signal", "compiled", "receiver"]


def switch(name: str, default: bool = False) -> bool:
    """Return whether the environment variable `name` is on ("1") or off ("0").

    Raises:
        ValueError: It has another value.
    """
    value = os.environ.get(name, "")
    if value not in ("", "0", "1"):
        raise ValueError(f"{name} must be 0 or 1, not {value!r}")
    return value == "1" if value else default


compiled: bool
"""Whether signals run on the compiled core."""

_switched_off = switch("FASTSIG_NO_EXTENSIONS")
_required = switch("FASTSIG_REQUIRE_EXTENSIONS")
if _switched_off and _required:
    raise ValueError("FASTSIG_NO_EXTENSIONS and FASTSIG_REQUIRE_EXTENSIONS contradict each other")

if TYPE_CHECKING:
    from fastsig._core import Dispatcher
elif _switched_off:
    from fastsig._pure import Dispatcher

    compiled = False
else:
    try:
        from fastsig._core import Dispatcher
    except ImportError:
        if _required:
            raise
        from fastsig._pure import Dispatcher

    compiled = Dispatcher.__module__ == "fastsig._core"


class Signal(Dispatcher):
    """A signal: receivers connect to it, and `send` calls them.

    Arguments:
        providing_args: The names of the arguments that are sent.  They are documentation, and
            nothing is checked against them.
        use_caching: Accepted for Celery's sake; finding the receivers is always fast.
        name: What the signal is called, for `repr`.
    """

    __slots__ = ("__dict__", "__weakref__", "name", "providing_args", "use_caching")

    name: str | None
    providing_args: set[str]
    use_caching: bool
    _logger_name: ClassVar[str] = "fastsig"

    def __init__(
        self,
        providing_args: Iterable[str] | None = None,
        use_caching: bool = False,
        name: str | None = None,
    ) -> None:
        self.name = name
        self.providing_args = set(() if providing_args is None else providing_args)
        self.use_caching = use_caching

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.name} providing_args={self.providing_args!r}>"

    def __reduce__(self) -> Any:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    if TYPE_CHECKING:

        @overload
        def connect(
            self,
            receiver: _Receiver,
            sender: object = None,
            weak: bool = True,
            dispatch_uid: Hashable = None,
            retry: Literal[False] = False,
        ) -> _Receiver: ...
        @overload
        def connect(
            self,
            receiver: Callable[_P, _R],
            sender: object = None,
            weak: bool = True,
            dispatch_uid: Hashable = None,
            *,
            retry: bool,
        ) -> Callable[_P, _R]: ...
        @overload
        def connect(
            self,
            receiver: Callable[_P, _R],
            sender: object,
            weak: bool,
            dispatch_uid: Hashable,
            retry: bool,
        ) -> Callable[_P, _R]: ...
        @overload
        def connect(
            self,
            receiver: None = None,
            sender: object = None,
            weak: bool = True,
            dispatch_uid: Hashable = None,
            retry: Literal[False] = False,
        ) -> Callable[[_Receiver], _Receiver]: ...
        @overload
        def connect(
            self,
            receiver: None = None,
            sender: object = None,
            weak: bool = True,
            dispatch_uid: Hashable = None,
            *,
            retry: bool,
        ) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]: ...

    def connect(
        self,
        receiver: Callable[..., Any] | None = None,
        sender: object = None,
        weak: bool = True,
        dispatch_uid: Hashable = None,
        retry: bool = False,
    ) -> Any:
        """Connect a receiver; also as a decorator, ``@signal.connect`` with or without options.

        A receiver that is connected already (the same key, for the same sender) is not connected
        again.  The key is `dispatch_uid`, or else the receiver's ``_dispatch_uid``, or else the
        receiver itself: a bound method is known by its object and its function.

        Arguments:
            receiver: What to call, as ``receiver(signal=..., sender=..., **named)``.  If it does
                not take ``**kwargs`` it gets those arguments that it has a name for.
            sender: The only sender to receive from; None for any.  A str or bytes is compared by
                its value, everything else by identity; a proxy stands for its target, and one
                that cannot be evaluated yet (Celery's ``PromiseProxy``) connects when it is.
            weak: Refer to the receiver weakly: it is disconnected when nothing else refers to it.
            dispatch_uid: What the receiver is known by.
            retry: When the receiver raises an `Exception`, call it again, for ever, after 2, 4,
                ... and at last every 30 seconds.  It is referred to strongly.

        Returns:
            The receiver; with `retry` the function that calls it; without a receiver, a
            decorator that connects one.

        Raises:
            TypeError: The receiver is not callable or cannot be weakly referenced, or
                `dispatch_uid` is not hashable.  Nothing is connected.
        """
        if receiver is None:
            return lambda receiver: self._checked(receiver, sender, weak, dispatch_uid, retry)
        return self._checked(receiver, sender, weak, dispatch_uid, retry)

    def _checked(
        self, receiver: object, sender: object, weak: bool, dispatch_uid: Hashable, retry: bool
    ) -> Callable[..., Any]:
        if not callable(receiver):
            raise TypeError(
                f"a receiver must be callable, which {type(receiver).__name__!r} is not"
                " (to connect for one sender, write connect(sender=...))"
            )
        receiver_key = _receiver_key(receiver, dispatch_uid)
        if retry:
            receiver, weak = self._retrying(receiver), False
            receiver._dispatch_uid = receiver_key  # type: ignore[attr-defined]
        try:
            reference = self._weak(receiver) if weak else receiver
        except TypeError:
            raise TypeError(
                f"{type(receiver).__name__!r} cannot be weakly referenced:"
                " connect it with weak=False"
            ) from None
        if sender is not None and hasattr(type(sender), "__then__"):
            sender.__then__(self._connect_target, receiver_key, receiver, sender, weak)  # type: ignore[attr-defined]
        else:
            self._connect(receiver_key, reference, sender)
        return receiver

    def _connect_target(
        self, receiver_key: Hashable, receiver: object, proxy: object, weak: bool
    ) -> None:
        reference = self._weak(receiver) if weak else receiver
        self._connect(receiver_key, reference, target(proxy))

    def _retrying(self, receiver: Callable[..., Any]) -> Callable[..., Any]:
        import time

        def retry(*args: Any, **kwargs: Any) -> Any:
            seconds = 2
            while True:
                try:
                    return receiver(*args, **kwargs)
                except Exception:
                    self._logger().error(
                        "Could not process signal receiver %s. Retrying in %.2f seconds...",
                        _shown(receiver),
                        seconds,
                    )
                time.sleep(seconds)
                seconds = min(seconds + 2, 30)

        retry.__wrapped__ = receiver  # type: ignore[attr-defined]
        retry._retries = retry.__code__  # type: ignore[attr-defined]
        return retry

    def disconnect(
        self,
        receiver: Callable[..., Any] | None = None,
        sender: object = None,
        weak: bool | None = None,
        dispatch_uid: Hashable = None,
    ) -> bool:
        """Disconnect a receiver.

        Arguments:
            receiver: The receiver; not needed if it was connected with a `dispatch_uid`.
            sender: The sender that it was connected with.
            weak: Deprecated, and without effect.
            dispatch_uid: The `dispatch_uid` that it was connected with.

        Returns:
            Whether there was such a connection.

        Raises:
            TypeError: `dispatch_uid` is not hashable.
        """
        if weak is not None:
            import warnings

            warnings.warn(
                "Passing `weak` to disconnect has no effect.", DeprecationWarning, stacklevel=2
            )
        return self._disconnect(_receiver_key(receiver, dispatch_uid), sender)

    def _logger(self) -> logging.Logger:
        import logging

        return logging.getLogger(self._logger_name)

    def _failed(self, receiver: object, exception: Exception) -> object:
        """Log what a receiver raised; it is the receiver's response."""
        self._logger().error(
            "Signal handler %r raised: %r",
            _shown(receiver),
            _shown(exception),
            exc_info=exception,
        )
        return exception


def _receiver_key(receiver: object, dispatch_uid: Hashable) -> Hashable:
    """Return what a receiver is known by."""
    if dispatch_uid is not None:
        try:
            hash(dispatch_uid)
        except TypeError:
            raise TypeError(
                f"dispatch_uid must be hashable, which {type(dispatch_uid).__name__!r} is not"
            ) from None
        if dispatch_uid:
            return dispatch_uid
    own: Hashable = getattr(receiver, "_dispatch_uid", _NONE)
    return key(receiver) if own is _NONE else own


_NONE = object()


class _Unprintable:
    """Stands in a log record for something whose own `repr` raises."""

    def __init__(self, thing: object) -> None:
        self.text = object.__repr__(thing)

    def __repr__(self) -> str:
        return self.text


def _shown(thing: object) -> object:
    """Return `thing`, or what to log in its place if its `repr` raises."""
    try:
        repr(thing)
    except Exception:
        return _Unprintable(thing)
    return thing


def _import_all() -> None:
    new = "logging" not in sys.modules
    for name in ("inspect", "logging", "time", "warnings"):
        __import__(name)
    if new:
        # Imported after the fork began, it acquires nothing before, but releases afterwards.
        sys.modules["logging"]._lock.acquire()


if hasattr(os, "register_at_fork"):
    # What another thread is importing while a process forks, the child can never import.
    os.register_at_fork(before=_import_all)


def receiver(
    signal: Signal | Iterable[Signal], **options: Unpack[_Options]
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
