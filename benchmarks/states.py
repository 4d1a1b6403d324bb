"""The states that signals are in where they are used, each measured in a process of its own.

    python benchmarks/states.py celery|fastsig SECONDS

It imports ``celery.signals`` first and `fastsig.signals` later, as a worker does, or the other way
round; compares signals of Celery's that fastsig has adopted with fastsig's own, and with Celery's
own; and prints rows of figures as JSON.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

ORDERS = {"celery": "Celery first", "fastsig": "fastsig first"}
"""What is imported first, and what that is called."""

if __name__ == "__main__" and sys.argv[1] == "celery":
    import_module("celery.app.trace")  # as a worker has it, which imports celery.signals

import cases  # noqa: E402
from cases import FASTSIG, HELD, IMPORTED, LOCAL, Case, Contender, Task, bench, measure  # noqa: E402
from receivers import NAMED  # noqa: E402

OWN, ADOPTED, STOCK = "own", "adopted", "Celery's own"
SITES = (HELD, LOCAL, IMPORTED)
SENDERS = (1, 2, 10_000)

Row = dict[str, Any]


def measured(patience: float, processes: int) -> list[Row]:
    """Return the rows of both orders, each measured in so many processes."""
    rows = []
    for order in ORDERS:
        command = [sys.executable, str(Path(__file__)), order, str(patience)]
        found = [
            json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            for _ in range(processes)
        ]
        for same in zip(*found, strict=True):
            rows.append({**same[0], "ns": measure.combine([row["ns"] for row in same])})
    return rows


def main(order: str, patience: float) -> None:
    """Measure, and print the rows."""
    trio = {OWN: FASTSIG, ADOPTED: Adopted(), STOCK: Stock()}
    rows = [*sending(trio), *misses(trio), *one_of_many(trio), making(trio)]
    found = measure.races([row["runs"] for row in rows], patience)
    for row, ns in zip(rows, found, strict=True):
        row |= {"order": ORDERS[order], "ns": ns}
        del row["runs"]
    print(json.dumps(rows))


class Adopted(Contender, bench.Contender):
    """Signals of Celery's that fastsig has adopted; each of them is used once."""

    refuses = frozenset()
    most = 100_000
    results = False  # so that no signal is used up for a trial

    def __init__(self) -> None:
        import_module("fastsig.signals")
        from celery import signals

        kind = signals.Signal
        self.unused = [each for each in vars(signals).values() if isinstance(each, kind)]
        super().__init__(ADOPTED, self.unused.pop)


class Stock(Contender, bench.Contender):
    """Celery's class as it is: another copy of it, which nobody has patched."""

    def __init__(self) -> None:
        super().__init__(STOCK, another("celery.utils.dispatch.signal").Signal)


def another(name: str) -> ModuleType:
    """Return another copy of a module, which is not in `sys.modules`."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sending(trio: dict[str, Contender]) -> Iterator[Row]:
    """Sending an adopted signal beside one of fastsig's own and Celery's, from each call site."""
    for reads in (False, True):
        for count in bench.COUNTS[reads:]:
            runs = {
                f"{name}, {site}": cases.sending(each, NAMED, count, reads=reads, site=site).run()
                for site in (SITES if count < 2 and not reads else SITES[:1])
                for name, each in trio.items()
            }
            yield {"what": "send", "count": count, "reads": reads, "runs": runs}


def misses(trio: dict[str, Contender]) -> Iterator[Row]:
    """Sending by a sender that has no receiver, where others have."""
    nobody = {name: cases.sending(each, NAMED, 0) for name, each in trio.items()}
    for count in SENDERS:
        for kind in (type, Task, str):
            runs = {}
            for name, each in trio.items():
                if count <= each.most:
                    miss = cases.sending_to_one(each, count, kind, known=False)
                    runs |= {f"{name}, nobody": nobody[name].run(), f"{name}, miss": miss.run()}
            yield {"what": "miss", "count": count, "kind": kind.__name__.lower(), "runs": runs}


def one_of_many(trio: dict[str, Contender]) -> Iterator[Row]:
    """Sending by one of many senders that have a receiver each."""
    for kind in (type, Task, str):
        runs = {"one receiver": cases.sending(FASTSIG, NAMED, 1).run()}
        for name in (OWN, ADOPTED):
            runs[name] = cases.sending_to_one(trio[name], SENDERS[-1], kind).run()
        about = {"count": SENDERS[-1], "kind": kind.__name__.lower()}
        yield {"what": "one of many", **about, "runs": runs}


def making(trio: dict[str, Contender]) -> Row:
    """Making a signal."""
    from celery.utils.dispatch import Signal

    classes: dict[str, Callable[[], Any]] = {name: each.signal for name, each in trio.items()}
    classes |= {OWN: FASTSIG.package.Signal, ADOPTED: Signal}
    runs = {
        name: collecting(Case("Signal()", {"Signal": each}, []).run())
        for name, each in classes.items()
    }
    return {"what": "making", "runs": runs}


def collecting(run: measure.Run) -> measure.Run:
    """Return a run with the garbage collector on: what is made may be a cycle."""

    def collecting(count: int) -> int:
        gc.enable()
        try:
            return run(count)
        finally:
            gc.disable()

    return collecting


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
