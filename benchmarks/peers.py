"""The other signal libraries, as they would really be used."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import blinker
import celery.utils.dispatch.signal
import django.dispatch
import psygnal
import pyee
from cases import FASTSIG, PURE, Contender, Task
from pydispatch import dispatcher
from receivers import RAISES, TRIMMED

EVENT = "task_prerun"


class Django(Contender):
    """Its `send`, which lets exceptions out; to go on after them there is `send_robust`."""

    senders = (Task,)  # it knows a str by its id, so it is not always found again

    def names(self, signal: Any) -> dict[str, Any]:
        return {"send": signal.send, "send_robust": signal.send_robust}

    def statement(self, arguments: str, shape: str) -> str:
        method = "send_robust" if shape == RAISES else "send"
        return f"{method}({arguments})"


class Blinker(Contender):
    """It passes the sender by position, sends to a set, and lets exceptions out."""

    refuses = frozenset({"**kwargs", TRIMMED, RAISES})
    flexible = False
    most = 100_000

    def statement(self, arguments: str, shape: str) -> str:
        return "send(sender, task_id=task_id, task=task, args=args, kwargs=kwargs)"


class PyDispatcher(Contender):
    """One function sends all signals; it trims arguments, and lets exceptions out."""

    refuses = frozenset({RAISES})
    flexible = False
    senders = (Task,)

    def connect(self, signal: Any) -> Callable[..., Any]:
        return partial(dispatcher.connect, signal=signal)

    def disconnect(self, signal: Any) -> Callable[..., Any]:
        return partial(dispatcher.disconnect, signal=signal)

    def names(self, signal: Any) -> dict[str, Any]:
        return {"send": dispatcher.send, "signal": signal}

    def statement(self, arguments: str, shape: str) -> str:
        return "send(signal, sender, task_id=task_id, task=task, args=args, kwargs=kwargs)"


class Psygnal(Contender):
    """It passes as many arguments as fit, by position; no results, no senders."""

    refuses = frozenset({TRIMMED, RAISES})
    results = False
    flexible = False
    weak = False
    senders = ()

    def __init__(self, name: str, method: str) -> None:
        super().__init__(name, lambda: psygnal.SignalInstance((object,) * 5))
        self.method = method

    def names(self, signal: Any) -> dict[str, Any]:
        return {"emit": getattr(signal, self.method), "signal": signal}

    def statement(self, arguments: str, shape: str) -> str:
        return "emit(sender, task_id, task, args, kwargs)"


class Pyee(Contender):
    """No results, no senders (other than the name of the event), and exceptions get out."""

    refuses = frozenset({TRIMMED, RAISES})
    results = False
    flexible = False
    weak = False
    senders = ()
    most = 100_000

    def connect(self, signal: Any) -> Callable[..., Any]:
        return partial(signal.add_listener, EVENT)

    def disconnect(self, signal: Any) -> Callable[..., Any]:
        return partial(signal.remove_listener, EVENT)

    def names(self, signal: Any) -> dict[str, Any]:
        return {"emit": signal.emit}

    def statement(self, arguments: str, shape: str) -> str:
        return f"emit({EVENT!r}, {arguments})"


CELERY = Contender("Celery", celery.utils.dispatch.signal.Signal)

PEERS = [
    CELERY,
    Django("Django", django.dispatch.Signal),
    Django("Django, use_caching", lambda: django.dispatch.Signal(use_caching=True)),
    Blinker("blinker", blinker.Signal),
    PyDispatcher("PyDispatcher", object),
    Psygnal("psygnal emit", "emit"),
    Psygnal("psygnal emit_fast", "emit_fast"),
    Pyee("pyee", pyee.EventEmitter),
]

LIBRARIES = [FASTSIG, PURE, *PEERS]
