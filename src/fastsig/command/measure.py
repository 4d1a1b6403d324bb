"""How things are measured: calls that stand inline, races between them, and what they cost.

A *run* is a function that is told how often to do a thing, and returns the nanoseconds that this
took.  A *race* compares runs: it gives each of them a short slice of time in turn, again and
again.  A machine is slow for a while, and then quick, but hardly within one round: so each run is
compared with the first one of the race in every round, and the median of those ratios counts.
(The best slices alone do not do: on a busy machine a quick moment may come to one run only.)
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import repeat
from statistics import median
from textwrap import indent
from time import perf_counter_ns
from types import CodeType, ModuleType
from typing import Any

Run = Callable[[int], int]

SLICE = 250_000
"""How many nanoseconds a slice takes at least: many calls, and yet seldom interrupted."""

PASSES = 5
"""So often each race is run, at different moments: a machine can be slow for seconds."""


def function(
    statement: str, names: dict[str, Any], imported: tuple[str, ...] = ()
) -> Callable[[], Any]:
    """Return a function whose body is `statement`, which finds its `names` as local variables.

    Those that are `imported` are names that the function's module imports.
    """
    call: Callable[[], Any] = _compiled("call", [], statement, names, imported)
    return call


def run(
    statement: str,
    names: dict[str, Any],
    clock: Callable[[], int] = perf_counter_ns,
    imported: tuple[str, ...] = (),
) -> Run:
    """Return a run that does `statement`, which stands inline in the loop.

    Where slices are long, and so are interrupted, let `clock` be that of processor time.  CPython
    compiles a call of a method of a name that is `imported` to other instructions.
    """
    body = (
        "start = clock()\n"
        "for _ in repeat(None, count):\n"
        f"{indent(statement, '    ')}\n"
        "return clock() - start"
    )
    run: Run = _compiled(
        "run", ["count"], body, {"clock": clock, "repeat": repeat, **names}, imported
    )
    return run


def _compiled(
    name: str, parameters: list[str], body: str, names: dict[str, Any], imported: tuple[str, ...]
) -> Any:
    own = [each for each in names if each not in imported]
    signature = ", ".join([*parameters, *(f"{each}={each}" for each in own)])
    scope = dict(names)
    source = f"def {name}({signature}):\n{indent(body, '    ')}"
    if imported:
        module = sys.modules["_fastsig_measured"] = ModuleType("_fastsig_measured")
        vars(module).update(names)
        source = f"from _fastsig_measured import {', '.join(imported)}\n{source}"
    try:
        exec(source, scope)
    finally:
        sys.modules.pop("_fastsig_measured", None)
    return scope[name]


def races(
    races: list[dict[str, Run]], seconds: float, a_slice: int = SLICE
) -> list[dict[str, float]]:
    """Return the nanoseconds that the runs of each race take for one go; see `rounds`."""
    return [combined(its_rounds) for its_rounds in rounds(races, seconds, a_slice)]


def rounds(
    races: list[dict[str, Run]], seconds: float, a_slice: int = SLICE
) -> list[list[dict[str, float]]]:
    """Return the nanoseconds for one go in each round of each race.

    Arguments:
        races: What is compared, by name.
        seconds: How long each race may take, about.
        a_slice: How many nanoseconds a slice takes at least (and at most twice that).
    """
    rounds: list[list[dict[str, float]]] = [[] for _ in races]
    with no_collector():
        counts = [{name: _calls_in(a_slice, race[name]) for name in race} for race in races]
        for _ in range(PASSES):
            for i, race in enumerate(races):
                rounds[i] += _race(race, counts[i], seconds / PASSES)
    return rounds


def _race(race: dict[str, Run], counts: dict[str, int], seconds: float) -> list[dict[str, float]]:
    rounds: list[dict[str, float]] = []
    order = list(race)
    deadline = perf_counter_ns() + seconds * 1e9
    while not rounds or perf_counter_ns() < deadline:
        taken = {name: race[name](counts[name]) / counts[name] for name in order}
        rounds.append({name: taken[name] for name in race})
        order.reverse()  # nobody always comes after the same one
    return rounds


def combined(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Return the best figure of the first run, and the others in the ratios that are the median."""
    first, *_ = rounds[0]
    best = min(taken[first] for taken in rounds)
    return {
        name: best * median(taken[name] / taken[first] for taken in rounds) for name in rounds[0]
    }


def _calls_in(a_slice: int, run: Run) -> int:
    """Return how many calls take a slice, at least."""
    count = 1
    while any(run(count) < a_slice for _ in range(2)):  # once may have been an interruption
        count *= 2
    return count


@contextmanager
def no_collector() -> Iterator[None]:
    """Keep the garbage collector off, as `timeit` does, after it has run once."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def verify(action: Callable[[], object], receivers: Iterable[Any], times: int = 1) -> None:
    """Check that `action` calls each of the receivers, and each of them so many times.

    It looks at what Python runs, so it holds for whatever way a receiver is called in.
    """
    # By id: code objects that do the same are equal.
    expected = {id(code_of(receiver)): times for receiver in receivers}
    calls = dict.fromkeys(expected, 0)

    def count(frame: Any, event: str, argument: object) -> None:
        if event == "call" and id(frame.f_code) in calls:
            calls[id(frame.f_code)] += 1

    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(None)
    if calls != expected:
        raise AssertionError(f"{sum(calls.values())} calls instead of {sum(expected.values())}")


def code_of(receiver: Any) -> CodeType:
    """Return the code that runs when `receiver` is called."""
    code = getattr(receiver, "__code__", None) or receiver.__call__.__code__
    assert isinstance(code, CodeType)
    return code
