"""What connecting and the like cost, in time and memory."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from time import process_time_ns

from fastsig.command.measure import Run

Action = Callable[[], object]
Prepare = Callable[[], Action]


def prepared_run(prepare: Prepare) -> Run:
    """Return a run of what `prepare` returns, anew each time; only that action is timed.

    Such actions take long, and so are interrupted: what counts is processor time.
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
