"""The other signal libraries: what they can do; how they are used is in `fastsig.command.bench`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from cases import FASTSIG, PURE, Contender, Task, bench
from receivers import RAISES, TRIMMED


class Celery(Contender, bench.Celery):
    pass


class Django(Contender, bench.Django):
    senders = (Task, type)  # it knows a str by its id, so it is not always found again

    def names(self, signal: Any) -> dict[str, Any]:
        return {**super().names(signal), "send_robust": signal.send_robust}

    def call(self, arguments: str, shape: str) -> str:
        call = super().call(arguments, shape)
        return call.replace("send", "send_robust", 1) if shape == RAISES else call


class Blinker(Contender, bench.Blinker):
    refuses = frozenset({"**kwargs", TRIMMED, RAISES})
    flexible = False
    most = 100_000


class PyDispatcher(Contender, bench.PyDispatcher):
    refuses = frozenset({RAISES})
    flexible = False
    senders = (Task, type)

    def disconnect(self, signal: Any) -> Callable[..., Any]:
        return partial(self.dispatcher.disconnect, signal=signal)


class Psygnal(Contender, bench.Psygnal):
    refuses = frozenset({TRIMMED, RAISES})
    flexible = False
    weak = False
    senders = ()


class Pyee(Contender, bench.Pyee):
    refuses = frozenset({TRIMMED, RAISES})
    flexible = False
    weak = False
    senders = ()
    most = 100_000

    def disconnect(self, signal: Any) -> Callable[..., Any]:
        return partial(signal.remove_listener, self.event)


class DustRiven(Contender, bench.DustRiven):
    refuses = frozenset({TRIMMED, RAISES})
    weak = False
    senders = ()

    def connect(self, signal: Any) -> Callable[..., Any]:
        return partial(_remember, signal)

    def disconnect(self, signal: Any) -> Callable[..., Any]:
        return partial(_forget, signal)


numbers: dict[Any, Any] = {}
"""What dust-riven wants to be told to disconnect a receiver."""


def _remember(signal: Any, receiver: Any) -> None:
    numbers[receiver] = signal.connect(receiver)


def _forget(signal: Any, receiver: Any) -> None:
    signal.disconnect(numbers[receiver])


CELERY = Celery()

PEERS = [
    CELERY,
    Django(),
    Django("Django, use_caching", use_caching=True),
    Blinker(),
    PyDispatcher(),
    Psygnal("psygnal emit"),
    Psygnal("psygnal emit_fast", "emit_fast"),
    Pyee(),
    DustRiven(),
]

LIBRARIES = [FASTSIG, PURE, *PEERS]
