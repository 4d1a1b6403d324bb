"""What is measured: fastsig on both cores, two yardsticks, and the cases for any contender.

The other libraries are contenders of the same kind; they are in `peers`.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from unittest import mock

import costs
from costs import Action, Prepare
from receivers import NAMED, TRIMMED, alike, receivers

from fastsig.command import bench, measure
from fastsig.command.bench import KEYWORDS, OTHERS, SENT, Task, connect_all
from fastsig.engine.plans import reads_kwargs

HERE = Path(__file__).parent
CACHE = HERE.parent / ".cache" / "benchmarks"
"""A folder that git ignores."""

POSITIONAL = f"sender, {OTHERS}"
MAPPING = "**mapping"

# Contenders


class Contender:
    """What the cases have to know of a library, beside how it is used (`fastsig.command.bench`)."""

    refuses: frozenset[str] = frozenset({TRIMMED})
    """The shapes of receiver that it cannot call."""
    flexible = True
    """Whether there are several ways to write the call that sends."""
    senders: tuple[type, ...] = (Task, type, str)
    """The types of sender that one can connect to."""
    weak = True
    """Whether receivers die that nothing else refers to."""
    most = 1_000
    """So many connections it makes in a reasonable time: for some this is quadratic."""

    def disconnect(self, signal: Any) -> Callable[..., Any]:
        """Return what disconnects a receiver from `signal`."""
        return signal.disconnect

    def call(self, arguments: str, shape: str) -> str:
        """Return the source of the call that sends to receivers of a shape."""
        return self.statement(arguments)


class Fastsig(Contender, bench.Contender):
    """fastsig, on one of its cores."""

    refuses = frozenset()
    most = 100_000

    def __init__(self, name: str, compiled: bool) -> None:
        self.package = load(compiled)
        self.compiled = compiled
        super().__init__(name, self.make_signal)

    def make_signal(self) -> Any:
        """Return a signal, made as the body of a module makes it."""
        module = {"Signal": self.package.Signal}
        exec("signal = Signal()", module)
        return module["signal"]


def load(compiled: bool) -> ModuleType:
    """Return the package, loaded anew, on the compiled core or the pure one."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "fastsig"]:
        del sys.modules[name]
    with mock.patch.dict(os.environ, core_switches(compiled)):
        package = import_module("fastsig")
    assert package.compiled is compiled
    return package


def core_switches(compiled: bool) -> dict[str, str]:
    """Return the environment variables that choose a core."""
    return {
        "FASTSIG_NO_EXTENSIONS": str(int(not compiled)),
        "FASTSIG_REQUIRE_EXTENSIONS": str(int(compiled)),
    }


class Loop(Contender, bench.Loop):
    """The loop that one would write by hand: no library."""

    refuses = frozenset()

    def call(self, arguments: str, shape: str) -> str:
        return f"responses = []\n{bench.loop(passed(arguments, shape))}"


def passed(arguments: str, shape: str) -> str:
    """Return the source of the arguments that a receiver gets, signal and all."""
    return "task_id=task_id, task=task" if shape == TRIMMED else f"{arguments}, signal=signal"


class Floor(Contender, bench.Loop):
    """C that calls the receivers and does nothing else."""

    refuses = frozenset()

    def names(self, signal: list[Any]) -> dict[str, Any]:
        return {"signal": signal, "send": floor().Floor(signal).send}

    def call(self, arguments: str, shape: str) -> str:
        return f"send({passed(arguments, shape)})"


class Empty(Floor):
    """The floor without receivers: C that takes the arguments of a send and does nothing."""

    def names(self, signal: list[Any]) -> dict[str, Any]:
        return {"signal": signal, "send": floor().Floor(()).empty}


@cache
def floor() -> ModuleType:
    """Return the module `_floor`, built in a folder that git ignores."""
    source = HERE / "_floor.pyx"
    built = CACHE / f"_floor{EXTENSION_SUFFIXES[0]}"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        CACHE.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, CACHE)
        command = [sys.executable, "-m", "Cython.Build.Cythonize", "--inplace", "--force"]
        subprocess.run([*command, source.name], cwd=CACHE, check=True, stdout=subprocess.DEVNULL)
    loader = ExtensionFileLoader("_floor", str(built))
    spec = spec_from_file_location("_floor", built, loader=loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


PURE = Fastsig("fastsig, pure Python", compiled=False)
FASTSIG = Fastsig("fastsig", compiled=True)  # the last, so that `import fastsig` finds this one
OURS = [FASTSIG, PURE]
LOOP = Loop()
FLOOR = Floor("floor")
EMPTY = Empty("floor")


def yardsticks(count: int) -> list[Contender]:
    """Return what to compare with where there are so many receivers."""
    return [LOOP, FLOOR if count else EMPTY]


# Sending

HELD, LOCAL, IMPORTED = "send held", "local name", "imported name"
"""How a call site has a signal: its `send`, looked up before, as Celery does it; the signal as a
local variable; or the signal as a name that its module imports, which is the usual way.  CPython
compiles ``imported.send(...)`` to other instructions."""

VARKEYWORDS = 0x08


class Case(NamedTuple):
    """A statement to measure, what it needs, and the receivers that it is to call."""

    statement: str
    names: dict[str, Any]
    reached: list[Any]
    times: int = 1
    imported: tuple[str, ...] = ()
    """Names that the module of the call site imports."""

    def call(self) -> Callable[[], Any]:
        """Return a function that does it once; it was tried."""
        call = measure.function(self.statement, self.names, self.imported)
        measure.verify(call, self.reached, self.times)
        return call

    def run(self) -> measure.Run:
        """Return a run of it, where it stands inline; it was tried."""
        run = measure.run(self.statement, self.names, imported=self.imported)
        measure.verify(lambda: run(1), self.reached, self.times)
        return run


def sending(
    contender: Contender,
    shape: str,
    count: int,
    arguments: str = KEYWORDS,
    reads: bool = False,
    site: str = HELD,
) -> Case:
    """Return the case of a send to so many receivers of a shape.

    Arguments:
        contender: Who sends.
        shape: The shape of the receivers.
        count: How many there are.
        arguments: How the call site writes the arguments.
        reads: Whether the receivers read their ``**kw``.
        site: How the call site has the signal: `HELD`, `LOCAL` or `IMPORTED`.
    """
    reached = receivers(shape, count, reads)
    check_kind(reached, reads)
    statement = contender.call(arguments, shape)
    return _case(contender, lambda: connect_all(contender, reached), statement, reached, site)


def check_kind(receivers: list[Any], reads: bool) -> None:
    """Check that fastsig takes receivers for what they are meant to be on this Python."""
    for each in receivers:
        code = measure.code_of(each)
        assert not code.co_flags & VARKEYWORDS or reads_kwargs(code) is reads, each


SITES = 5


def from_sites(case: Case) -> Case:
    """Return the case of doing `case` from five call sites in turn.

    Each is in a function of its own.  A call site has its own tuple of keyword names, and caches
    that go by it have to cope.
    """
    sites = {f"site{i}": case.call() for i in range(SITES)}
    return Case("\n".join(f"{site}()" for site in sites), sites, case.reached, SITES)


def sending_to_one(
    contender: Contender, count: int, kind: type, known: bool = True, site: str = HELD
) -> Case:
    """Return the case of a send by one of the senders that receivers are connected to.

    Arguments:
        contender: Who sends.
        count: How many senders there are, each with a receiver of its own.
        kind: `Task` for an object, `type` for a class, or str, which is then sent as another str
            of that value.
        known: Whether the sender is one of them; otherwise it reaches no receiver, a miss.
        site: How the call site has the signal: `HELD`, `LOCAL` or `IMPORTED`.
    """
    everyone = receivers(NAMED, count)
    make = {str: "tasks.number_{}".format, type: new_class, Task: lambda i: Task()}[kind]
    senders = [make(i) for i in range(count + 1)]
    place = count // 2 if known else count

    def signal() -> Any:
        signal = contender.signal()
        connect = contender.connect(signal)
        for receiver, sender in zip(everyone, senders, strict=False):
            connect(receiver, sender=sender)
        return signal

    return _case(
        contender,
        signal,
        contender.call(KEYWORDS, NAMED),
        everyone[place : place + 1],
        site,
        sender=make(place) if kind is str else senders[place],
        senders=senders,
    )


def new_class(i: int) -> type:
    """Return a class, as the models are that send Django's signals."""
    return type(f"Model{i}", (), {})


def _case(
    contender: Contender,
    signal: Callable[[], Any],
    statement: str,
    reached: list[Any],
    site: str,
    **names: Any,
) -> Case:
    names = {**SENT, "mapping": SENT, **names}
    if contender.results:
        # With a signal of its own: the one that is measured is sent from one call site.
        trial = measure.function(f"return {statement}", {**names, **contender.names(signal())})
        assert len(trial()) == len(reached)
    names |= contender.names(signal())
    if site != HELD:
        statement = f"signal.{statement}"
        names["signal"] = names.pop("send").__self__
        get_owner = getattr(names["signal"], "get_owner", None)
        if get_owner is not None:  # it is the engine of a host's signal
            names["signal"] = get_owner()
    return Case(statement, names, reached, imported=("signal",) if site == IMPORTED else ())


@contextmanager
def quiet() -> Iterator[None]:
    """Let what receivers raise be logged to nowhere: writing it is not what is measured."""
    loggers = [
        logging.getLogger(name)
        for name in ("fastsig", "celery.utils.dispatch.signal", "django.dispatch")
    ]
    handler = logging.NullHandler()
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
            logger.propagate = True


# Connecting


def each(action: Callable[[Any], object], things: Iterable[Any]) -> None:
    """Do `action` with each of the `things`."""
    for thing in things:
        action(thing)


def connecting(contender: Contender, things: list[Any]) -> Prepare:
    """Return what prepares to connect all these receivers to a new signal."""

    def prepare() -> Action:
        return partial(each, contender.connect(contender.signal()), things)

    return prepare


SOME = 20


def disconnecting(contender: Contender, things: list[Any]) -> Prepare:
    """Return what prepares to disconnect some of these receivers, from all over a signal."""
    signal = connect_all(contender, things)
    choice = random.Random(SOME)
    gone: list[Any] = []

    def prepare() -> Action:
        each(contender.connect(signal), gone)
        gone[:] = choice.sample(things, SOME)
        return partial(each, contender.disconnect(signal), gone)

    return prepare


def dying(contender: Contender, count: int) -> Prepare:
    """Return what prepares to let so many receivers die at once, and to send once more."""

    def prepare() -> Action:
        things = alike(count)
        send = _send(contender, connect_all(contender, things))
        send()

        def die() -> None:
            things.clear()
            send()

        return die

    return prepare


def memory(contender: Contender, number: int = 1_000) -> float:
    """Return how many bytes a connection takes, once the signal was sent."""
    things = alike(number)
    signal = connect_all(contender, things[:1])
    send = _send(contender, signal)
    send()

    def action() -> None:
        each(contender.connect(signal), things[1:])
        send()

    return costs.memory(action) / (number - 1)


def _send(contender: Contender, signal: Any) -> Callable[[], Any]:
    """Return a function that sends."""
    names = {**SENT, **contender.names(signal)}
    return measure.function(contender.call(KEYWORDS, NAMED), names)
