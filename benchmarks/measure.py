"""How things are measured: calls that stand inline, races between them, and what they cost.

A *run* is a function that is told how often to do a thing, and returns the nanoseconds that this
took.  A *race* compares runs: it gives each of them a short slice of time in turn, again and
again, and keeps the best slice of each.  So whatever else the machine does hits all of them
alike, and the slices that it did not hit decide.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import repeat
from math import inf
from textwrap import indent
from time import perf_counter_ns, process_time_ns
from types import CodeType
from typing import Any

Run = Callable[[int], int]
Action = Callable[[], object]
Prepare = Callable[[], Action]

SLICE = 250_000
"""How many nanoseconds a slice takes at least: many calls, and yet seldom interrupted."""

PASSES = 5
"""So often each race is run, at different moments: a machine can be slow for seconds."""


def function(statement: str, names: dict[str, Any]) -> Callable[[], Any]:
    """Return a function whose body is `statement`, which finds its `names` as local variables."""
    return _compiled("call", [], statement, names)


def run(statement: str, names: dict[str, Any]) -> Run:
    """Return a run that does `statement`, which stands inline in the loop."""
    body = (
        "start = perf_counter_ns()\n"
        "for _ in repeat(None, count):\n"
        f"{indent(statement, '    ')}\n"
        "return perf_counter_ns() - start"
    )
    return _compiled("run", ["count"], body, names)


def prepared_run(prepare: Prepare) -> Run:
    """Return a run of what `prepare` returns, anew each time; only that action is timed.

    It is for actions that take long, and are interrupted: so what counts is processor time.
    """

    def run(count: int) -> int:
        taken = 0
        for _ in range(count):
            action = prepare()
            start = process_time_ns()
            action()
            taken += process_time_ns() - start
        return taken

    return run


def _compiled(name: str, parameters: list[str], body: str, names: dict[str, Any]) -> Any:
    signature = ", ".join([*parameters, *(f"{name}={name}" for name in names)])
    scope = {"perf_counter_ns": perf_counter_ns, "repeat": repeat, **names}
    exec(f"def {name}({signature}):\n{indent(body, '    ')}", scope)
    return scope[name]


def races(
    races: list[dict[str, Run]], seconds: float, a_slice: int = SLICE
) -> list[dict[str, float]]:
    """Return the nanoseconds that the runs of each race take for one go, at their best.

    Arguments:
        races: What is compared, by name.
        seconds: How long each race may take, about.
        a_slice: How many nanoseconds a slice takes at least (and at most twice that).
    """
    best: list[dict[str, float]] = [dict.fromkeys(race, inf) for race in races]
    with no_collector():
        counts = [{name: _calls_in(a_slice, run) for name, run in race.items()} for race in races]
        for _ in range(PASSES):
            for i, race in enumerate(races):
                _race(race, counts[i], best[i], seconds / PASSES)
    return best


def _race(
    race: dict[str, Run], counts: dict[str, int], best: dict[str, float], seconds: float
) -> None:
    order = list(race)
    deadline = perf_counter_ns() + seconds * 1e9
    while True:
        for name in order:
            best[name] = min(best[name], race[name](counts[name]) / counts[name])
        if perf_counter_ns() > deadline:
            return
        order.reverse()  # nobody always comes after the same one


def _calls_in(a_slice: int, run: Run) -> int:
    """Return how many calls take a slice, at least; one time of three is not an interrupted one."""
    count = 1
    while any(run(count) < a_slice for _ in range(3)):
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


def memory(action: Action) -> int:
    """Return how many more bytes are allocated after `action` than before."""
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    action()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return after - before


def verify(action: Action, receivers: Iterable[Any], times: int = 1) -> None:
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
