"""Wrappers that `connect` puts in place of a receiver: for ``retry`` and ``once``."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from fastsig.advice import unwrap
from fastsig.engine import Subclasses, find_engine, make_receiver_key
from fastsig.senders import list_senders
from fastsig.signal import make_printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from fastsig.engine import Engine

__all__ = ["Retry", "find_original", "make_once", "make_retrying"]


class Retry:
    """The rules for calling a receiver again after it has raised an exception.

    The sender waits `delay` seconds before the second call, and `backoff` times as long before each
    further call, but at most `max_delay` seconds.  The exception of the last call is handled like
    that of any other receiver.

    Arguments:
        attempts: The largest number of calls, the first one included; None for no limit.
        delay: Seconds before the second call.
        backoff: The factor by which the delay grows from call to call.
        max_delay: The longest delay in seconds.

    Raises:
        TypeError: An argument is not a number.
        ValueError: `attempts` or `backoff` is less than 1, or another argument is negative.
    """

    __slots__ = ("attempts", "backoff", "delay", "max_delay")

    attempts: int | None
    delay: float
    backoff: float
    max_delay: float

    def __init__(
        self,
        attempts: int | None = 5,
        delay: float = 1,
        backoff: float = 2,
        max_delay: float = 30,
    ) -> None:
        if attempts is not None:
            check("attempts", attempts, 1, int)
        check("delay", delay, 0)
        check("backoff", backoff, 1)
        check("max_delay", max_delay, 0)
        self.attempts, self.delay = attempts, delay
        self.backoff, self.max_delay = backoff, max_delay

    def __repr__(self) -> str:
        return (
            f"Retry(attempts={self.attempts}, delay={self.delay}, backoff={self.backoff},"
            f" max_delay={self.max_delay})"
        )

    def delays(self) -> Iterator[float]:
        """Yield the seconds before each call but the first."""
        made, seconds = 1, float(self.delay)
        while self.attempts is None or made < self.attempts:
            yield min(seconds, self.max_delay)
            made, seconds = made + 1, min(seconds * self.backoff, self.max_delay)


def check(name: str, value: Any, least: float, kind: Any = (int, float)) -> None:
    if isinstance(value, bool) or not isinstance(value, kind):
        expected = "an int" if kind is int else "a number"
        raise TypeError(f"{name} must be {expected}, got {type(value).__name__!r}")
    if not value >= least or value == math.inf:
        raise ValueError(f"{name} must be {least} or more, got {value!r}")


class CeleryRetry:
    """What ``retry=True`` means in Celery: retry after 2, 4, 6 ... 30 seconds until it succeeds."""

    def delays(self) -> Iterator[float]:
        """Yield the seconds before each call but the first."""
        seconds = 2
        while True:
            yield seconds
            seconds = min(seconds + 2, 30)


def make_retrying(
    receiver: Callable[..., Any], policy: Any, how: Retry | bool = True
) -> Callable[..., Any]:
    """Return a function that calls a receiver again until it succeeds.

    Arguments:
        receiver: The receiver.  If it is a coroutine function, so is the function returned.
        policy: The policy that has the logger.
        how: A `Retry`, or a bool to retry as Celery does: see `CeleryRetry`.

    Raises:
        TypeError: `how` is neither a bool nor a `Retry`.
    """
    if not isinstance(how, (bool, Retry)):
        instead = "; write Retry()" if how is Retry else ""
        raise TypeError(f"retry must be a bool or a Retry, got {how!r}{instead}")
    retrying: Any = how if isinstance(how, Retry) else CeleryRetry()

    def log(seconds: float) -> None:
        policy.get_logger().error(
            "Could not process signal receiver %s. Retrying in %.2f seconds...",
            make_printable(receiver),
            seconds,
        )

    def retry(*args: Any, **kwargs: Any) -> Any:
        for seconds in retrying.delays():
            try:
                return receiver(*args, **kwargs)
            except Exception:
                log(seconds)
            time.sleep(seconds)
        return receiver(*args, **kwargs)

    async def retry_async(*args: Any, **kwargs: Any) -> Any:
        import asyncio

        for seconds in retrying.delays():
            try:
                return await receiver(*args, **kwargs)
            except Exception:
                log(seconds)
            await asyncio.sleep(seconds)
        return await receiver(*args, **kwargs)

    return mark_wrapper(retry_async if is_coroutine_function(receiver) else retry, receiver)


def make_once(
    engine: Engine, receiver: Callable[..., Any], receiver_key: Any, sender: object
) -> Callable[..., Any]:
    """Return a function that disconnects and calls a receiver; a second call does nothing.

    Arguments:
        engine: The engine that it is connected to.
        receiver: The receiver.
        receiver_key: Its key.
        sender: The sender that it is connected for.
    """
    left = [receiver]

    def once(*args: Any, **kwargs: Any) -> Any:
        try:
            function = left.pop()  # atomic, so only one thread gets the receiver
        except IndexError:
            return None
        engine.remove_connection(receiver_key, sender)
        return function(*args, **kwargs)

    return mark_wrapper(once, receiver)


class Connected:
    """A context manager in which a receiver is connected to a signal."""

    def __init__(
        self, signal: Any, receiver: Callable[..., Any], sender: object, options: dict[str, Any]
    ) -> None:
        if not callable(receiver):
            raise TypeError(f"receiver must be callable, got {type(receiver).__name__!r}")
        self.signal, self.receiver, self.sender = signal, receiver, sender
        senders = options.get("senders")
        if senders is not None and not isinstance(senders, (str, bytes)):
            options = {**options, "senders": list(senders)}  # it may be an iterator
        self.options = options
        self.key = make_receiver_key(receiver, options.get("dispatch_uid"))
        self.listed = list_senders(sender, options.get("senders"), options.get("subclasses", False))
        self.added: list[list[Any]] = []

    def __enter__(self) -> None:
        engine = find_engine(self.signal)
        added = [
            each
            for each in self.listed
            if engine is None or not engine.has_connection(self.key, each)
        ]
        if added:
            self.signal.connect(self.receiver, sender=self.sender, **self.options)
        self.added.append(added)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        uid = self.options.get("dispatch_uid")
        for each in self.added.pop():
            if type(each) is Subclasses:
                what = {"sender": each.base, "subclasses": True}
            else:
                what = {"sender": each}
            self.signal.disconnect(self.receiver, dispatch_uid=uid, **what)


def mark_wrapper(function: Any, receiver: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function as the wrapper of a receiver, so that it gets the receiver's arguments."""
    function.__wrapped__ = receiver
    function._retries = function.__code__
    return function  # type: ignore[no-any-return]


def find_original(receiver: Any) -> Any:
    """Return the receiver that the user connected, without the wrappers that fastsig has added."""
    return unwrap(receiver)


def is_coroutine_function(receiver: Any) -> bool:
    from inspect import iscoroutinefunction

    call = getattr(type(receiver), "__call__", None)  # noqa: B004 - an object may have one
    return iscoroutinefunction(receiver) or iscoroutinefunction(call)
