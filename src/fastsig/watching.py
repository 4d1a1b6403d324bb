"""Muting, recording and observing signals.

All three use one watcher.  While at least one of their blocks is active for a signal, its engine
sends through `watch_send` (`engine.set_watcher`).  At the end of the last block, the watcher is
removed, and a send is as fast as before.
"""

from __future__ import annotations

import os
from contextvars import ContextVar
from threading import RLock, local
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from fastsig.engine import (
    Engine,
    find_engine,
    list_engines,
    make_key,
    make_receiver_key,
    resolve,
    resolve_proxy,
    watch_new,
)
from fastsig.senders import read_sender
from fastsig.signal import make_printable, name_of
from fastsig.standins import find_original

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from fastsig.engine.table import Route
    from fastsig.protocol import SignalProtocol

    _F = TypeVar("_F", bound=Callable[..., Any])

__all__ = ["Call", "Observation", "Recorded", "Sent", "muted", "observe", "recorded"]

lock = RLock()
"""Held while a block starts or ends.  A send never takes it."""


class Watched:
    """The active mutes, recordings and observations of one engine."""

    __slots__ = ("engine", "mutes", "observations", "recordings")

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.mutes: tuple[Any, ...] = ()
        self.recordings: tuple[Any, ...] = ()
        self.observations: tuple[Observation, ...] = ()


watched: dict[int, Watched] = {}
"""The key is the `id` of the engine, which the value keeps alive."""

everywhere: tuple[Observation, ...] = ()
"""The observations that are for all signals."""


def start(engine: Engine, kind: str, thing: object) -> None:
    """Add `thing` to the mutes, recordings or observations of an engine."""
    with lock:
        active = watched.setdefault(id(engine), Watched(engine))
        setattr(active, kind, (*getattr(active, kind), thing))
        engine.set_watcher(watch_send)


def stop(engine: Engine, kind: str, thing: object) -> None:
    """Remove what `start` added."""
    with lock:
        active = watched.get(id(engine))
        if active is None:  # it started before a fork, in a thread that the child does not have
            return
        setattr(active, kind, remove(getattr(active, kind), thing))
        if not (active.mutes or active.recordings or active.observations):
            del watched[id(engine)]
            if not everywhere:
                engine.set_watcher(None)


def remove(things: tuple[Any, ...], thing: object) -> tuple[Any, ...]:
    return tuple(each for each in things if each is not thing)


def start_everywhere(observation: Observation) -> None:
    global everywhere  # noqa: PLW0603
    with lock:
        everywhere = (*everywhere, observation)
        # First, so that a signal that is created meanwhile has the watcher, or is found below.
        watch_new(watch_send)
        for engine in list_engines():
            engine.set_watcher(watch_send)


def stop_everywhere(observation: Observation) -> None:
    global everywhere  # noqa: PLW0603
    with lock:
        everywhere = remove(everywhere, observation)
        if not everywhere:
            watch_new(None)
            for engine in list_engines():
                if id(engine) not in watched:
                    engine.set_watcher(None)


# The watcher


def watch_send(
    engine: Engine, sender: Any, named: dict[str, Any], robust: bool
) -> list[tuple[Any, Any]]:
    """Send instead of the engine; see `Engine.set_watcher`."""
    route = engine.find_route(sender)
    active = watched.get(id(engine))
    if (
        not everywhere
        and (
            active is None
            or not (active.recordings or active.observations or find_mutes(engine, sender))
        )
        and not any(reference is stand_by for reference in route.raising)
    ):
        return engine.send_unwatched(sender, named, robust, route)
    sending = Sending(engine, sender, named, active, route, robust)
    try:
        for receiver in sending.receivers():
            started = perf_counter()
            try:
                response = sending.call(receiver)
            except Exception as error:
                sending.notify(receiver, started, error)
                response = sending.fail(receiver, error)
            except BaseException as error:
                sending.notify(receiver, started, error)
                raise
            else:
                sending.notify(receiver, started, None)
            sending.responses.append((receiver, response))
        return sending.finish()
    except BaseException as error:
        sending.give_up(error)
        raise


class Sending:
    """One watched send, which calls one receiver after the other."""

    def __init__(
        self,
        engine: Engine,
        sender: Any,
        named: dict[str, Any],
        active: Watched | None,
        route: Route,
        robust: bool = True,
    ) -> None:
        self.engine, self.sender, self.named, self.robust = engine, sender, named, robust
        self.policy, self.signal = engine.get_policy(), engine.get_owner()
        self.route = route
        self.responses: list[tuple[Any, Any]] = []
        self.failed = False
        self.sent: list[Sent] = []
        self.observations = everywhere
        self.mutes: list[Block] = []
        if active is not None:
            self.mutes = find_mutes(engine, sender)
            self.observations = (*everywhere, *active.observations)
            for recording in active.recordings:
                if recording.sender is None or is_sender(recording.sender, sender):
                    sent = Sent(self.signal, sender, named, self.responses)
                    self.sent.append(sent)
                    recording.sends.append(sent)
        if self.observations and is_in_callback():
            self.observations = ()

    def receivers(self) -> Iterator[Any]:
        """Yield the receivers to call, in order."""
        for reference in self.route.references:
            receiver = resolve(reference)
            if receiver is None or receiver is stand_by:
                continue
            if not any(mute.mutes(receiver) for mute in self.mutes):
                yield receiver

    def call(self, receiver: Any) -> Any:
        return self.policy.call(self.signal, receiver, self.sender, self.named)

    def fail(self, receiver: Any, error: Exception) -> Any:
        """Return the response of a receiver that raised, or raise its exception, by the policy."""
        if not self.robust or self.route.raises(receiver):
            raise error
        self.failed = True
        return self.policy.fail(self.signal, receiver, error)

    def finish(self) -> list[tuple[Any, Any]]:
        responses = self.responses
        if self.failed:
            responses = self.policy.finish(self.signal, responses)
        return [*responses] if self.sent else responses

    def give_up(self, error: BaseException) -> None:
        for sent in self.sent:
            sent.error = error

    def notify(self, receiver: Any, started: float, error: BaseException | None) -> None:
        """Pass a call of a receiver to the observations."""
        if not self.observations:
            return
        seconds = perf_counter() - started
        call = Call(self.signal, find_original(receiver), self.sender, seconds, error)
        thread.busy = True
        try:
            for observation in self.observations:
                observation.notify(call)
        finally:
            thread.busy = False


thread = local()


def is_in_callback() -> bool:
    """Return whether a callback is running in this thread; its sends are not observed."""
    return getattr(thread, "busy", False)


# Finding the signals and senders that the caller means


def engines_of(what: str, signals: Iterable[Any]) -> list[Engine]:
    """Return the engines of signals, each once.

    Raises:
        TypeError: One of them is not a signal, or does not run on fastsig's engine.
    """
    engines: dict[int, Engine] = {}
    for signal in signals:
        engine = find_engine(signal)
        if engine is None:
            kind = type(signal).__name__
            if hasattr(signal, "send"):
                raise TypeError(f"{what} takes signals on fastsig's engine, got {signal!r}")
            raise TypeError(f"{what} takes signals, got {kind!r}")
        engines[id(engine)] = engine
    return list(engines.values())


def is_sender(meant: object, sender: object) -> bool:
    """Return whether `meant` matches a sender: the same object, an equal str, or a task's name."""
    if make_key(meant) == make_key(sender):
        return True
    meant, sender = resolve_proxy(meant), resolve_proxy(sender)
    if isinstance(meant, str):
        return hasattr(type(sender), "apply_async") and getattr(sender, "name", None) == meant
    if isinstance(sender, str):
        return hasattr(type(meant), "apply_async") and getattr(meant, "name", None) == sender
    return False


# Muting


class Block:
    """One run of a ``with muted(...)`` block.

    An asyncio task that starts inside the block has it in its context, even after it has ended.
    """

    __slots__ = ("ended", "muted")

    def __init__(self, muted: muted) -> None:
        self.muted = muted
        self.ended = False

    def mutes(self, receiver: Any) -> bool:
        """Return whether a receiver is muted."""
        meant = self.muted.receiver
        return meant is None or bool(
            make_receiver_key(meant) == make_receiver_key(find_original(receiver))
        )


BLOCKS: ContextVar[tuple[Block, ...]] = ContextVar("fastsig_muted", default=())


def find_mutes(engine: Engine, sender: Any) -> list[Block]:
    """Return the blocks that mute a sender of an engine in this context."""
    return [
        block
        for block in BLOCKS.get()
        if not block.ended
        and id(engine) in block.muted.ids
        and (block.muted.sender is None or is_sender(block.muted.sender, sender))
    ]


def forget_others() -> None:
    """After a fork, end the mutes of the threads that the child does not have."""
    global lock  # noqa: PLW0603
    lock = RLock()
    here = BLOCKS.get()
    for active in list(watched.values()):
        for block in active.mutes:
            if block not in here:
                stop(active.engine, "mutes", block)


if hasattr(os, "register_at_fork"):
    # Only a hook for the child: this module may be imported while a fork has already begun.
    os.register_at_fork(after_in_child=forget_others)


class muted:
    """Keep receivers from being called, in this context (thread or asyncio task) only.

    A context manager, and a decorator for functions and coroutine functions.  Blocks nest, and one
    object can be used several times and by several threads.  An asyncio task that starts inside the
    block is muted, too, until the block ends; so is a function that ``asyncio.to_thread`` runs.

    Arguments:
        *signals: The signals.
        sender: Mute only this sender; None for all.  A Celery task and its name match.
        receiver: Mute only this receiver; None for all.

    Raises:
        TypeError: One of them is not a signal, or the receiver is not callable.
    """

    def __init__(
        self, *signals: SignalProtocol, sender: object = None, receiver: Any = None
    ) -> None:
        if not signals:
            raise TypeError("muted() takes signals, got none")
        self.engines: list[Any] = engines_of("muted()", signals)
        self.ids: set[int] = {id(engine) for engine in self.engines}
        if receiver is not None and not callable(receiver):
            raise TypeError(f"receiver must be callable, got {type(receiver).__name__!r}")
        self.sender: object = read_sender(sender)
        self.receiver: Any = None if receiver is None else find_original(receiver)
        self.blocks: list[Block] = []

    def __enter__(self) -> None:
        block = Block(self)
        for engine in self.engines:
            start(engine, "mutes", block)
        self.blocks.append(block)
        BLOCKS.set((*[each for each in BLOCKS.get() if not each.ended], block))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        here = [each for each in BLOCKS.get() if each.muted is self and not each.ended]
        # A fixture that is an async generator may end in another context than it started in.
        block = (here or self.blocks)[-1]
        block.ended = True
        self.blocks.remove(block)
        BLOCKS.set(remove(BLOCKS.get(), block))
        for engine in self.engines:
            stop(engine, "mutes", block)

    def __call__(self, function: _F) -> _F:
        """Return a function that mutes the signals while it runs."""
        import inspect
        from functools import wraps

        if not inspect.isroutine(function) or inspect.isgeneratorfunction(function):
            raise TypeError(
                "muted() decorates functions and coroutine functions; in a generator, or for a"
                f" {type(function).__name__}, write `with muted(...):`"
            )
        wrapped: Any
        if inspect.isasyncgenfunction(function):
            raise TypeError("muted() does not decorate generators: write `with muted(...):` inside")
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def wrapped(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

        else:

            @wraps(function)
            def wrapped(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return function(*args, **kwargs)

        return wrapped  # type: ignore[no-any-return]


# Recording


class Sent:
    """A send that was recorded.  It also has the arguments of the send as attributes.

    Attributes:
        signal: The signal.
        sender: The sender.
        named: The other arguments, a dict.  `args` is the same, unless an argument has that name.
        responses: ``[(receiver, response), ...]``.
        error: The exception that `send` raised, or None.
    """

    signal: Any
    sender: Any
    named: dict[str, Any]
    responses: list[tuple[Any, Any]]

    def __init__(
        self, signal: Any, sender: Any, named: dict[str, Any], responses: list[tuple[Any, Any]]
    ) -> None:
        self.signal, self.sender, self.named, self.responses = signal, sender, named, responses
        self.error: BaseException | None = None

    def __getattr__(self, name: str) -> Any:
        named = self.__dict__.get("named", {})
        if name in named:
            return named[name]
        if name == "args":
            return named
        sent = ", ".join(map(str, named)) or "nothing"
        raise AttributeError(
            f"{name_of(self.signal)} was sent without {name!r}; it was sent with {sent}"
        )

    def __repr__(self) -> str:
        named = "".join(f", {name}={value!r}" for name, value in self.named.items())
        return f"<{name_of(self.signal)}: {self.sender!r}{named}>"


class Recorded(list[Sent]):
    """A list of the recorded sends, in order."""

    @property
    def one(self) -> Sent:
        """The only send.

        Raises:
            AssertionError: There is none, or more than one.
        """
        if len(self) != 1:
            raise AssertionError(f"expected one send, got {len(self)}: {list(self)!r}")
        return self[0]


class Recording:
    """One run of a ``with recorded(...)`` block."""

    def __init__(self, sender: object, sends: Recorded) -> None:
        self.sender, self.sends = sender, sends


def stand_by(**named: Any) -> None:
    """Be connected while a signal is recorded, because Celery only sends if there is a receiver."""


class recorded:
    """Record the sends of signals, in all threads.  The receivers are still called.

    A context manager, whose value is a `fastsig.watching.Recorded`.  One object can be used several
    times, and its blocks can nest.  Threads and asyncio tasks that run at the same time need an
    object each: the end of a block ends the recording that this object started last.

    Arguments:
        *signals: The signals.
        sender: Record only this sender; None for all.  A Celery task and its name match.

    Raises:
        TypeError: One of them is not a signal.
    """

    def __init__(self, *signals: SignalProtocol, sender: object = None) -> None:
        if not signals:
            raise TypeError("recorded() takes signals, got none")
        self.engines: list[Any] = engines_of("recorded()", signals)
        self.sender: object = read_sender(sender)
        self.recordings: list[Recording] = []

    def __enter__(self) -> Recorded:
        sends = Recorded()
        recording = Recording(self.sender, sends)
        with lock:
            for engine in self.engines:
                start(engine, "recordings", recording)
                # Connected with on_error="raise": so a send that has already begun finds it among
                # `route.raising`.
                policy = engine.get_policy()
                engine.add_connection(make_key(stand_by), stand_by, None, policy.more, True)
                policy.changed(engine.get_owner())
        self.recordings.append(recording)
        return sends

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        recording = self.recordings.pop()
        with lock:
            for engine in self.engines:
                active = watched.get(id(engine))
                if active is not None and len(active.recordings) == 1:
                    engine.remove_connection(make_key(stand_by))
                    engine.get_policy().changed(engine.get_owner())
                stop(engine, "recordings", recording)


# Observing


class Call:
    """A call of a receiver, which `observe` passes to its callback.

    Attributes:
        signal: The signal that was sent.
        receiver: The receiver, as it was connected.
        sender: The sender.
        seconds: How long the call took.
        error: The exception that it raised, or None.
    """

    __slots__ = ("error", "receiver", "seconds", "sender", "signal")

    def __init__(
        self,
        signal: Any,
        receiver: Any,
        sender: Any,
        seconds: float,
        error: BaseException | None,
    ) -> None:
        self.signal, self.receiver, self.sender = signal, receiver, sender
        self.seconds, self.error = seconds, error

    def __repr__(self) -> str:
        raised = "" if self.error is None else f", raised {self.error!r}"
        return f"<{self.receiver!r} of {name_of(self.signal)}: {self.seconds:.6f} s{raised}>"


class Observation:
    """Passes each call of a receiver to a callback, until `stop` or the end of a ``with`` block."""

    def __init__(self, callback: Callable[[Call], object], engines: list[Engine] | None) -> None:
        self.callback, self.engines = callback, engines
        self.stopped = False

    def notify(self, call: Call) -> None:
        """Call the callback; log its exception."""
        try:
            self.callback(call)
        except Exception:
            import logging

            logging.getLogger("fastsig").exception(
                "observe() callback %r raised", make_printable(self.callback)
            )

    def stop(self) -> None:
        """Stop observing.  A second call does nothing."""
        with lock:
            if self.stopped:
                return
            self.stopped = True
            if self.engines is None:
                stop_everywhere(self)
            for engine in self.engines or ():
                stop(engine, "observations", self)

    def __enter__(self) -> Observation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def observe(
    callback: Callable[[Call], object], signals: Iterable[SignalProtocol] | None = None
) -> Observation:
    """Call ``callback(call)`` after each receiver, in the thread of the sender.

    It starts at once, and ends when `stop` of the result is called, or at the end of a ``with``
    block.  An exception of the callback is logged.  Sends by the callback are not observed.

    Arguments:
        callback: Gets a `fastsig.watching.Call`.
        signals: The signals; None for all, also those that are created later.

    Raises:
        TypeError: The callback is not callable, or one of them is not a signal.
    """
    if not callable(callback):
        raise TypeError(f"callback must be callable, got {type(callback).__name__!r}")
    if signals is None:
        observation = Observation(callback, None)
        start_everywhere(observation)
        return observation
    if find_engine(signals) is not None or not hasattr(type(signals), "__iter__"):
        raise TypeError("signals must be an iterable of signals, or None: write signals=[signal]")
    observation = Observation(callback, engines_of("observe()", signals))
    with lock:
        for engine in observation.engines or ():
            start(engine, "observations", observation)
    return observation


def log_slow(seconds: float) -> Observation:
    """Log each receiver that takes longer than this, as a warning on the logger ``fastsig``."""

    def log(call: Call) -> None:
        if call.seconds > seconds:
            import logging

            logging.getLogger("fastsig").warning(
                "Receiver %r of %s took %.3f s",
                make_printable(call.receiver),
                make_printable(name_of(call.signal)),
                call.seconds,
            )

    return observe(log)
