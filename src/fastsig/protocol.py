"""What every signal offers, of whichever host: the type of the names in `fastsig.signals`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from fastsig.seen import Connection
    from fastsig.watching import muted, recorded

__all__ = ["SignalProtocol"]


@runtime_checkable
class SignalProtocol(Protocol):
    """A signal: fastsig's own, or one of a host that fastsig has adopted.

    `fastsig.Signal` documents the methods.
    """

    name: str | None
    providing_args: set[str]
    use_caching: bool
    receivers: Any

    @property
    def connect(self) -> Callable[..., Any]: ...

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
