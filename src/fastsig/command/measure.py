"""Measure statements, and compare them in races.

A *run* is a function that executes a statement a number of times, and returns how many nanoseconds
that took.  A *race* compares runs: it gives each of them a short slice of time in turn, many times.
The speed of a machine changes from second to second, but hardly within one round of a race.  So
each run is compared with the first run of the race in each round, and the result is the median of
these ratios.  (Comparing the best slices is not enough: on a busy machine, only one run may get a
fast moment.)
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
"""The shortest slice in nanoseconds: long enough for many calls, but rarely interrupted."""

PASSES = 5
"""How often each race is run, at different times, because a machine can be slow for seconds."""


def function(
    statement: str, names: dict[str, Any], imported: tuple[str, ...] = ()
) -> Callable[[], Any]:
    """Return a function whose body is `statement`, and whose local variables are `names`.

    The names in `imported` are module-level imports instead.
    """
    call: Callable[[], Any] = _compile_function("call", [], statement, names, imported)
    return call


def run(
    statement: str,
    names: dict[str, Any],
    clock: Callable[[], int] = perf_counter_ns,
    imported: tuple[str, ...] = (),
) -> Run:
    """Return a run that executes `statement` inline in a loop.

    For long slices, which are interrupted, pass a `clock` that measures processor time.  CPython
    compiles a method call on a name that is in `imported` to other instructions.
    """
    body = (
        "start = clock()\n"
        "for _ in repeat(None, count):\n"
        f"{indent(statement, '    ')}\n"
        "return clock() - start"
    )
    run: Run = _compile_function(
        "run", ["count"], body, {"clock": clock, "repeat": repeat, **names}, imported
    )
    return run


def _compile_function(
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
    """Return the nanoseconds that one execution takes in the runs of each race; see `rounds`."""
    return [combine(its_rounds) for its_rounds in rounds(races, seconds, a_slice)]


def rounds(
    races: list[dict[str, Run]], seconds: float, a_slice: int = SLICE
) -> list[list[dict[str, float]]]:
    """Return the nanoseconds of one execution, for each round of each race.

    Arguments:
        races: For each race, the runs by name.
        seconds: About how long each race may take.
        a_slice: The shortest slice in nanoseconds; the longest is twice that.
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
        order.reverse()  # so that no run always follows the same one
    return rounds


def combine(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Return the best time of the first run, and times of the others by their median ratios."""
    first, *_ = rounds[0]
    best = min(taken[first] for taken in rounds)
    return {
        name: best * median(taken[name] / taken[first] for taken in rounds) for name in rounds[0]
    }


def _calls_in(a_slice: int, run: Run) -> int:
    """Return how many calls take at least one slice."""
    count = 1
    while any(run(count) < a_slice for _ in range(2)):  # one may have been interrupted
        count *= 2
    return count


@contextmanager
def no_collector() -> Iterator[None]:
    """Collect garbage once, then switch the collector off, as `timeit` does."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def verify(action: Callable[[], object], receivers: Iterable[Any], times: int = 1) -> None:
    """Check that `action` calls each of the receivers this many times.

    It counts the code objects that Python executes, so it does not matter how a receiver is called.
    """
    # By id, because code objects with the same content are equal.
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
    """Return the code object that runs when `receiver` is called."""
    code = getattr(receiver, "__code__", None) or receiver.__call__.__code__
    assert isinstance(code, CodeType)
    return code
