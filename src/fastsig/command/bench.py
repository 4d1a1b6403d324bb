"""``python -m fastsig bench``: what a send costs on this machine, beside other libraries.

Every library sends the five arguments of Celery's ``task_prerun`` to receivers of the same kind,
in the way that is usual for it.  Those that are not installed are left out.
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
"""So many receivers are sent to."""

PARAMETERS = "sender=None, task_id=None, task=None, args=None, kwargs=None, **kw"
OTHERS = "task_id=task_id, task=task, args=args, kwargs=kwargs"
KEYWORDS = f"sender=sender, {OTHERS}"


BUSY = 0.1
"""How far the two halves may be apart before the user is told that the machine is busy."""


class Task:
    """A sender, as the task is for `task_prerun`."""


TASK = Task()
SENT = {
    "sender": TASK,
    "task_id": "5f0e2cbd-35b1-4b5e-a1c4-d2a6c8b1f0a7",
    "task": TASK,
    "args": (2, 3),
    "kwargs": {},
}


def receiver(source: str, **names: Any) -> Any:
    """Return the `receiver` that `source` defines.

    Each has a code object of its own: a loop over a single one would flatter the interpreter.
    """
    exec(source, names)
    return names["receiver"]


KINDS = {False: "pass", True: "kw"}
"""The bodies of receivers that do not read their ``**kw``, and of those that do.

A send does not pass what a receiver cannot see; every other library and the loop pass it.
"""


@cache
def receivers(count: int, reads: bool = False) -> list[Any]:
    """Return so many receivers with named parameters, always the same ones of either kind."""
    return [receiver(f"def receiver({PARAMETERS}): {KINDS[reads]}") for _ in range(count)]


class Contender:
    """A library as it is used: how to make a signal, connect and send.

    This is one whose signals have methods of these names, as Celery's do.
    """

    module: ClassVar[str]
    """What is imported; where that is missing, the library is not installed."""
    distribution: ClassVar[str]
    """What is installed."""
    results = True
    """Whether the call that sends is an expression whose value has an item for each receiver."""

    def __init__(self, name: str, signal: Callable[[], Any]) -> None:
        self.name = name
        self.signal = signal

    def __repr__(self) -> str:
        return self.name

    def connect(self, signal: Any) -> Callable[..., Any]:
        """Return what connects a receiver to `signal`."""
        return signal.connect  # type: ignore[no-any-return]

    def names(self, signal: Any) -> dict[str, Any]:
        """Return what the statement needs to have, beside the arguments."""
        return {"send": signal.send}

    def statement(self, arguments: str) -> str:
        """Return the source of the call that sends."""
        return f"send({arguments})"


class Loop(Contender):
    """The loop that one would write by hand, to have the same result."""

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
    """Its own class, whether or not its signals go through fastsig."""

    module = distribution = "celery"

    def __init__(self, name: str = "Celery") -> None:
        from celery.utils.dispatch.signal import Signal

        super().__init__(name, Signal)


class Django(Contender):
    """Its `send`, which lets exceptions out; to go on after them there is `send_robust`."""

    module = distribution = "django"

    def __init__(self, name: str = "Django", **options: Any) -> None:
        from django.dispatch import Signal

        super().__init__(name, partial(Signal, **options))


class Blinker(Contender):
    """It passes the sender by position, sends to a set, and lets exceptions out."""

    module = distribution = "blinker"

    def __init__(self, name: str = "blinker") -> None:
        from blinker import Signal

        super().__init__(name, Signal)

    def statement(self, arguments: str) -> str:
        return f"send(sender, {OTHERS})"


class PyDispatcher(Contender):
    """One function sends all signals; it trims arguments, and lets exceptions out."""

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
    """It passes as many arguments as fit, by position; no results, no senders."""

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
    """It is written in Rust: no signal, no senders, and exceptions get out."""

    module, distribution = "dust_riven", "dust-riven"

    def __init__(self, name: str = "dust-riven") -> None:
        from dust_riven import Signal

        super().__init__(name, Signal)

    def names(self, signal: Any) -> dict[str, Any]:
        return {"emit": signal.emit}

    def statement(self, arguments: str) -> str:
        return f"emit({arguments})"


class Pyee(Contender):
    """No results, no senders (other than the name of the event), and exceptions get out."""

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


def connected(contender: Contender, things: Iterable[Any]) -> Any:
    """Return a new signal with these receivers."""
    signal = contender.signal()
    connect = contender.connect(signal)
    for thing in things:
        connect(thing)
    return signal


def sending(contender: Contender, count: int, reads: bool = False) -> measure.Run:
    """Return the run of a send to so many receivers of a kind; it was tried.

    Raises:
        Exception: The library cannot do it, or does not call each receiver once.
    """
    signal = connected(contender, receivers(count, reads))
    run = measure.run(contender.statement(KEYWORDS), {**SENT, **contender.names(signal)})
    measure.verify(lambda: run(1), receivers(count, reads))
    return run


def bench(seconds: float) -> None:
    """Measure for so many seconds, and print how a send compares."""
    loop, ours = Loop(), Contender("fastsig", fastsig.Signal)
    cases = [(n, reads) for reads in KINDS for n in COUNTS]
    races = [{each.name: sending(each, *case) for each in (ours, loop)} for case in cases]
    missing, broken = [], []
    for kind in PEERS:
        try:
            peer = kind()
            runs = [sending(peer, *case) for case in cases]
        except Exception as error:  # whatever is wrong with it, the others can be compared
            if isinstance(error, ModuleNotFoundError) and error.name == kind.module:
                missing.append(kind.__name__)
            else:
                broken.append(f"Left out: {kind.__name__}, {type(error).__name__}: {error}"[:100])
            continue
        label = f"{peer.name} {_version(kind.distribution)}{'' if peer.results else ' *'}"
        for race, run in zip(races, runs, strict=True):
            race[label] = run
    rounds = measure.rounds(races, seconds / len(races))
    figures = [measure.combined(each) for each in rounds]
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
    "Receivers that do not read their **kw, as most: fastsig does not pass what lands there.",
    "Receivers that read their **kw: they get everything.",
)
EXPLANATION = """\
Each calls the same n functions with what Celery sends as task_prerun, in its own usual way.
The loop calls them by keyword, and keeps a list of (receiver, response), as fastsig does.
Only fastsig and Celery go on after an exception."""
STARRED = "* gives no responses; psygnal passes by position."
JIT = "PyPy compiles empty receivers to nothing: few of them say little about real ones."


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # it is there, but was not installed in the usual way
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
    """Say how far the first and the second half of the rounds are apart, at their worst."""

    def apart(value: Callable[[list[dict[str, float]]], float]) -> float:
        worst = 1.0
        for rounds in races:
            half = len(rounds) // 2
            first, second = value(rounds[:half]), value(rounds[half:])
            worst = max(worst, first / second, second / first)
        return worst - 1

    best = apart(lambda rounds: min(taken[loop] for taken in rounds))
    ratio = apart(lambda rounds: measure.combined(rounds)[ours] / measure.combined(rounds)[loop])
    text = f"Noise (first half against second): loop {best:.0%}, fastsig / loop {ratio:.0%}."
    busy = "\nThe machine is busy: try again, or for longer (--seconds 60)."
    return text + busy * (max(best, ratio) > BUSY)
