"""The type of the signals in `fastsig.signals`: what fastsig's own and adopted signals share."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, overload, runtime_checkable

if TYPE_CHECKING:
    from typing import Literal, ParamSpec, TypedDict, TypeVar

    from typing_extensions import Unpack  # `typing` has it from 3.11 on

    from fastsig.seen import Connection
    from fastsig.standins import Retry
    from fastsig.watching import muted, recorded

    _Receiver = TypeVar("_Receiver", bound=Callable[..., Any])
    _P = ParamSpec("_P")
    _R = TypeVar("_R")

    class More(TypedDict, total=False):
        """The options of `connect` that are given by keyword."""

        senders: Iterable[object] | None
        subclasses: bool
        on_error: Literal["raise"] | None
        once: bool

    class Options(More, total=False):
        """The options of `connect`."""

        sender: object
        weak: bool
        dispatch_uid: Hashable
        retry: bool | Retry


__all__ = ["SignalProtocol"]


@runtime_checkable
class SignalProtocol(Protocol):
    """A signal: fastsig's own, or an adopted one of Celery's.

    `fastsig.Signal` documents the methods.
    """

    name: str | None
    providing_args: set[str]
    use_caching: bool
    receivers: Any

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

    def disconnect(
        self,
        receiver: Callable[..., Any] | None = None,
        sender: object = None,
        weak: bool | None = None,
        dispatch_uid: Hashable = None,
        *,
        senders: Iterable[object] | None = None,
        subclasses: bool = False,
    ) -> bool: ...

    def has_listeners(
        self,
        sender: object = None,
        *,
        senders: Iterable[object] | None = None,
        subclasses: bool = False,
    ) -> bool: ...

    def connections(self) -> list[Connection]: ...

    def explain(self, receiver: Callable[..., Any] | str, sender: object = ...) -> str: ...

    def send(self, /, sender: object, **named: Any) -> list[tuple[Any, Any]]: ...

    def send_robust(self, /, sender: object, **named: Any) -> list[tuple[Any, Any]]: ...

    async def asend(self, /, sender: Any, **named: Any) -> list[tuple[Any, Any]]: ...

    def connected(
        self, receiver: Callable[..., Any], sender: object = None, **options: Any
    ) -> AbstractContextManager[None]: ...

    def muted(self, sender: object = None, receiver: Callable[..., Any] | None = None) -> muted: ...

    def recorded(self, sender: object = None) -> recorded: ...
