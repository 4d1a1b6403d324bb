"""How things are measured: calls that stand inline, races between them, and what they cost.

A *run* is a function that is told how often to do a thing, and returns the nanoseconds that this
took.  `race` compares runs: it gives each of them a short slice of time in turn, again and again,
and keeps the best slice of each.  So what else the machine does hits all of them alike, and a
slice that it did not hit decides.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import repeat
from textwrap import indent
from time import perf_counter_ns
from types import CodeType
from typing import Any

Run = Callable[[int], int]

SLICE = 250_000
"""How many nanoseconds a slice takes: many calls, and yet seldom interrupted."""


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


def _compiled(name: str, parameters: list[str], body: str, names: dict[str, Any]) -> Any:
    signature = ", ".join([*parameters, *(f"{name}={name}" for name in names)])
    scope = {"perf_counter_ns": perf_counter_ns, "repeat": repeat, **names}
    exec(f"def {name}({signature}):\n{indent(body, '    ')}", scope)
    return scope[name]


def race(runs: dict[str, Run], seconds: float) -> dict[str, float]:
    """Return the nanoseconds that each of the runs takes for one go, at its best.

    Arguments:
        runs: What is compared, by name.
        seconds: How long all of it may take (five rounds are made in any case).
    """
    best = {}
    with no_collector():
        counts = {name: _calls_in_a_slice(run) for name, run in runs.items()}
        order = list(runs)
        deadline = perf_counter_ns() + seconds * 1e9
        rounds = 0
        while rounds < 5 or perf_counter_ns() < deadline:
            for name in order:
                taken = runs[name](counts[name]) / counts[name]
                best[name] = min(taken, best.get(name, taken))
            order.reverse()  # nobody always comes after the same one
            rounds += 1
    return {name: best[name] for name in runs}


def _calls_in_a_slice(run: Run) -> int:
    count = 1
    while (taken := run(count)) < SLICE / 2:
        count = max(2 * count, int(count * SLICE / 2 / max(taken, 1)))
    return max(1, round(count * SLICE / taken))


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


def memory(action: Callable[[], object]) -> int:
    """Return how many bytes `action` leaves allocated; what it returns is kept meanwhile."""
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    kept = action()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return after - before


def verify(action: Callable[[], object], receivers: Iterable[Any], times: int = 1) -> None:
    """Check that `action` calls each of the receivers so many times, and calls no other code twice.

    It looks at what Python runs, so it holds for whatever way a receiver is called in.
    """
    expected = Counter({code_of(receiver): times for receiver in receivers})
    calls: Counter[CodeType] = Counter()

    def count(frame: Any, event: str, argument: object) -> None:
        if event == "call" and frame.f_code in expected:
            calls[frame.f_code] += 1

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
