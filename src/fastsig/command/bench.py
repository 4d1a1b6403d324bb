"""``python -m fastsig bench``: measure a send on this machine, and compare it with other libraries.

Each library sends the five arguments of Celery's ``task_prerun`` to receivers of the same kind, in
its usual way.  Libraries that are not installed are left out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

import fastsig
from fastsig.command import measure

COUNTS = [0, 1, 3, 10, 100]
"""The numbers of receivers to measure."""

PARAMETERS = "sender=None, task_id=None, task=None, args=None, kwargs=None, **kw"
OTHERS = "task_id=task_id, task=task, args=args, kwargs=kwargs"
KEYWORDS = f"sender=sender, {OTHERS}"


BUSY = 0.1
"""The largest difference between the two halves before the output says that the machine is busy."""


class Task:
    """A sender, as a task is for `task_prerun`."""


TASK = Task()
SENT = {
    "sender": TASK,
    "task_id": "5f0e2cbd-35b1-4b5e-a1c4-d2a6c8b1f0a7",
    "task": TASK,
    "args": (2, 3),
    "kwargs": {},
}


def receiver(source: str, **names: Any) -> Any:
    """Return the function `receiver` that `source` defines.

    Each call makes a new code object, because a loop over a single one would flatter the
    interpreter.
    """
    exec(source, names)
    return names["receiver"]


KINDS = {False: "pass", True: "kw"}
"""The bodies of receivers that do not read their ``**kw``, and of receivers that do.

fastsig does not pass arguments that a receiver cannot see.  The other libraries and the loop do.
"""


@cache
def receivers(count: int, reads: bool = False) -> list[Any]:
    """Return this number of receivers, always the same ones for each kind."""
    return [receiver(f"def receiver({PARAMETERS}): {KINDS[reads]}") for _ in range(count)]


class Contender:
    """A library in its usual way: how to make a signal, connect and send.

    This class is for libraries whose signals have the methods of Celery's.
    """

    module: ClassVar[str]
    """The module to import; if it is missing, the library is not installed."""
    distribution: ClassVar[str]
    """The name of the distribution."""
    results = True
    """Whether a send returns an item for each receiver."""

    def __init__(self, name: str, signal: Callable[[], Any]) -> None:
        self.name = name
        self.signal = signal

    def __repr__(self) -> str:
        return self.name

    def connect(self, signal: Any) -> Callable[..., Any]:
        """Return the function that connects a receiver to `signal`."""
        return signal.connect  # type: ignore[no-any-return]

    def names(self, signal: Any) -> dict[str, Any]:
        """Return the names that the statement uses, except the arguments."""
        return {"send": signal.send}

    def statement(self, arguments: str) -> str:
        """Return the source of the call that sends."""
        return f"send({arguments})"


class Loop(Contender):
    """A hand-written loop with the same result."""

    results = False

    def __init__(self, name: str = "hand-written loop") -> None:
        super().__init__(name, list)

    def connect(self, signal: list[Any]) -> Callable[..., Any]:
        return signal.append

    def names(self, signal: list[Any]) -> dict[str, Any]:
        return {"signal": signal, "receivers": signal}

    def statement(self, arguments: str) -> str:
        return f"responses = []\n{loop(f'{arguments}, signal=signal')}"


def loop(arguments: str, receivers: str = "receivers") -> str:
    """Return the source of a loop that calls the receivers and appends to the list `responses`."""
    return f"for receiver in {receivers}:\n    responses.append((receiver, receiver({arguments})))"


class Celery(Contender):
    """Its own class, whether or not fastsig has adopted its signals."""

    module = distribution = "celery"

    def __init__(self, name: str = "Celery") -> None:
        from celery.utils.dispatch.signal import Signal

        super().__init__(name, Signal)


class Django(Contender):
    """Its `send`, which raises exceptions of receivers; `send_robust` would go on after them."""

    module = distribution = "django"

    def __init__(self, name: str = "Django", **options: Any) -> None:
        from django.dispatch import Signal

        super().__init__(name, partial(Signal, **options))


class Blinker(Contender):
    """It passes the sender by position, has no order, and raises exceptions of receivers."""

    module = distribution = "blinker"

    def __init__(self, name: str = "blinker") -> None:
        from blinker import Signal

        super().__init__(name, Signal)

    def statement(self, arguments: str) -> str:
        return f"send(sender, {OTHERS})"


class PyDispatcher(Contender):
    """One function sends all signals.  It trims arguments, and raises exceptions of receivers."""

    module = "pydispatch"
    distribution = "pydispatcher"

    def __init__(self, name: str = "PyDispatcher") -> None:
        from pydispatch import dispatcher

        super().__init__(name, object)
        self.dispatcher = dispatcher

    def connect(self, signal: Any) -> Callable[..., Any]:
        return partial(self.dispatcher.connect, signal=signal)

    def names(self, signal: Any) -> dict[str, Any]:
        return {"send": self.dispatcher.send, "signal": signal}

    def statement(self, arguments: str) -> str:
        return f"send(signal, sender, {OTHERS})"


class Psygnal(Contender):
    """It passes as many arguments as fit, by position.  It has neither results nor senders."""

    module = distribution = "psygnal"
    results = False

    def __init__(self, name: str = "psygnal", method: str = "emit") -> None:
        from psygnal import SignalInstance

        super().__init__(name, partial(SignalInstance, (object,) * 5))
        self.method = method

    def names(self, signal: Any) -> dict[str, Any]:
        return {"emit": getattr(signal, self.method), "signal": signal}

    def statement(self, arguments: str) -> str:
        return "emit(sender, task_id, task, args, kwargs)"


class DustRiven(Contender):
    """It is written in Rust.  It passes neither sender nor signal, and raises exceptions."""

    module, distribution = "dust_riven", "dust-riven"

    def __init__(self, name: str = "dust-riven") -> None:
        from dust_riven import Signal

        super().__init__(name, Signal)

    def names(self, signal: Any) -> dict[str, Any]:
        return {"emit": signal.emit}

    def statement(self, arguments: str) -> str:
        return f"emit({arguments})"


class Pyee(Contender):
    """It has neither results nor senders (except the name of the event), and raises exceptions."""

    module = distribution = "pyee"
    results = False
    event = "task_prerun"

    def __init__(self, name: str = "pyee") -> None:
        from pyee import EventEmitter

        super().__init__(name, EventEmitter)

    def connect(self, signal: Any) -> Callable[..., Any]:
        return partial(signal.add_listener, self.event)

    def names(self, signal: Any) -> dict[str, Any]:
        return {"emit": signal.emit}

    def statement(self, arguments: str) -> str:
        return f"emit({self.event!r}, {arguments})"


PEERS: list[type[Any]] = [Celery, Django, Blinker, PyDispatcher, Psygnal, Pyee, DustRiven]


def connect_all(contender: Contender, things: Iterable[Any]) -> Any:
    """Return a new signal with these receivers."""
    signal = contender.signal()
    connect = contender.connect(signal)
    for thing in things:
        connect(thing)
    return signal


def make_send_run(contender: Contender, count: int, reads: bool = False) -> measure.Run:
    """Return the run of a send to this number of receivers of a kind, after a trial.

    Raises:
        Exception: The library cannot do it, or does not call each receiver once.
    """
    signal = connect_all(contender, receivers(count, reads))
    run = measure.run(contender.statement(KEYWORDS), {**SENT, **contender.names(signal)})
    measure.verify(lambda: run(1), receivers(count, reads))
    return run


def bench(seconds: float) -> None:
    """Measure for this many seconds, and print how the sends compare."""
    loop, ours = Loop(), Contender("fastsig", fastsig.Signal)
    cases = [(n, reads) for reads in KINDS for n in COUNTS]
    races = [{each.name: make_send_run(each, *case) for each in (ours, loop)} for case in cases]
    missing, broken = [], []
    for kind in PEERS:
        try:
            peer = kind()
            runs = [make_send_run(peer, *case) for case in cases]
        except Exception as error:  # compare the others all the same
            if isinstance(error, ModuleNotFoundError) and error.name == kind.module:
                missing.append(kind.__name__)
            else:
                broken.append(f"Left out: {kind.__name__}, {type(error).__name__}: {error}"[:100])
            continue
        label = f"{peer.name} {_version(kind.distribution)}{'' if peer.results else ' *'}"
        for race, run in zip(races, runs, strict=True):
            race[label] = run
    rounds = measure.rounds(races, seconds / len(races))
    figures = [measure.combine(each) for each in rounds]
    for i, (title, body) in enumerate(zip(TITLES, KINDS.values(), strict=True)):
        of_kind = figures[i * len(COUNTS) : (i + 1) * len(COUNTS)]
        print(f"{title}\n    def receiver({PARAMETERS}): {body}\n")
        print(*_table(of_kind, ours.name, loop.name), "", sep="\n")
    notes = [EXPLANATION]
    if any(label.endswith("*") for label in races[0]):
        notes.append(STARRED)
    if sys.implementation.name == "pypy":
        notes.append(JIT)
    notes += [_noise(rounds, ours.name, loop.name), *broken]
    if missing:
        notes.append(f"Not installed: {', '.join(missing)}.")
    print(*notes, sep="\n")


TITLES = (
    "Receivers that do not read their **kw, as most: fastsig does not pass unread arguments.",
    "Receivers that read their **kw: fastsig passes all arguments.",
)
EXPLANATION = """\
Each library calls the same n functions with the arguments of task_prerun, in its usual way.
The loop calls them by keyword, and keeps a list of (receiver, response), as fastsig does.
Only fastsig and Celery go on after an exception."""
STARRED = "* returns no responses; psygnal passes arguments by position."
JIT = "PyPy removes empty receivers: small numbers of them say little about real ones."


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # it can be imported, but has no metadata
        return ""


def _table(figures: list[dict[str, float]], ours: str, loop: str) -> list[str]:
    def row(label: str, left: Iterable[str], right: Iterable[str] = ()) -> str:
        cells = [*(f" {cell:>7}" for cell in left), *(f" {cell:>6}" for cell in right)]
        return f"{label:<20}{''.join(cells)}"

    def times(value: float) -> str:
        return f"{value:.2f}" if value < 10 else f"{value:.1f}"

    counts = [f"n = {COUNTS[0]}", *map(str, COUNTS[1:])]
    return [
        f"{'':<20}{'ns per send to n receivers':>40}{'times what fastsig takes':>35}",
        row("", counts, counts),
        *(
            row(
                label,
                (f"{each[label]:,.0f}" for each in figures),
                (times(each[label] / each[ours]) for each in figures),
            )
            for label in figures[0]
        ),
        row("fastsig / loop", (times(each[ours] / each[loop]) for each in figures)),
    ]


def _noise(races: list[list[dict[str, float]]], ours: str, loop: str) -> str:
    """Return a line about the largest difference between the two halves of the rounds."""

    def apart(value: Callable[[list[dict[str, float]]], float]) -> float:
        worst = 1.0
        for rounds in races:
            half = len(rounds) // 2
            first, second = value(rounds[:half]), value(rounds[half:])
            worst = max(worst, first / second, second / first)
        return worst - 1

    best = apart(lambda rounds: min(taken[loop] for taken in rounds))
    ratio = apart(lambda rounds: measure.combine(rounds)[ours] / measure.combine(rounds)[loop])
    text = f"Noise (first half against second): loop {best:.0%}, fastsig / loop {ratio:.0%}."
    busy = "\nThe machine is busy: try again, or for longer (--seconds 60)."
    return text + busy * (max(best, ratio) > BUSY)
