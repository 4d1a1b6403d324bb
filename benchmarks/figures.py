"""The figures: everything that `run.py` measures, as plain data that JSON can hold.

A row of figures is a dict that says what was measured and has, under "ns", the nanoseconds of
each contender.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cases
import states
from cases import (
    FASTSIG,
    IMPORTED,
    KEYWORDS,
    LOCAL,
    LOOP,
    MAPPING,
    OURS,
    POSITIONAL,
    PURE,
    Contender,
    Task,
)
from costs import Prepare, prepared_run
from peers import CELERY, LIBRARIES
from receivers import NAMED, RAISES, SHAPES, TRIMMED, alike
from worker import DISPATCHERS, WORK, worker

from fastsig.command.bench import COUNTS
from fastsig.command.measure import combine, races

Row = dict[str, Any]

RIVALS = [FASTSIG, PURE, CELERY]

CONNECTIONS = (100, 1_000, 10_000, 100_000)

BASE = "fastsig, any sender"
"""The name of a signal with one receiver, which takes any sender, beside signals with many."""


def everything(quick: bool, say: Callable[[str], object]) -> dict[str, list[Row]]:
    """Measure it all; `say` is told what is going on."""
    patience = 0.25 if quick else 1.5
    parts: dict[str, Callable[[float], list[Row]]] = {
        "memory": memories,  # while Celery's registry of finalizers is still small
        "send": sends,
        "states": lambda patience: states.measured(patience, 1 if quick else 3),
        "ways to call": ways_to_call,
        "senders": senders,
        "raising": raising,
        "connect": connects,
        "disconnect": disconnects,
        "dying": dying,
        "import": imports,
        "celery": end_to_end,
    }
    figures = {}
    for name, part in parts.items():
        say(name)
        figures[name] = part(patience)
    return figures


def sends(patience: float) -> list[Row]:
    """Sending: the shapes of receiver, of both kinds, and how many there are."""
    rows = []
    for shape in [*SHAPES, TRIMMED]:
        for reads in (False, True) if shape != TRIMMED else (False,):
            for count in COUNTS if shape == NAMED and not reads else COUNTS[1:]:
                rivals = LIBRARIES if shape in (NAMED, TRIMMED) else RIVALS
                runs = {
                    each.name: cases.sending(each, shape, count, reads=reads).run()
                    for each in [*cases.yardsticks(count), *rivals]
                    if shape not in each.refuses
                }
                rows.append({"shape": shape, "reads": reads, "count": count, "runs": runs})
    return _raced(rows, patience)


def ways_to_call(patience: float) -> list[Row]:
    """Sending with the same arguments, written differently."""
    ways = {
        "send(sender=sender, ...)": KEYWORDS,
        "send(sender, ...)": POSITIONAL,
        "send(**mapping)": MAPPING,
    }
    rivals = [LOOP, *RIVALS]
    rows = []
    for count in (0, 1, 10):
        for way, arguments in ways.items():
            runs = {
                each.name: cases.sending(each, NAMED, count, arguments).run() for each in rivals
            }
            rows.append({"way": way, "count": count, "runs": runs})
        runs = {
            each.name: cases.from_sites(cases.sending(each, NAMED, count)).run() for each in rivals
        }
        way = "from five call sites"
        rows.append({"way": way, "count": count, "runs": runs, "goes": cases.SITES})
        for site in (LOCAL, IMPORTED):
            runs = {
                each.name: cases.sending(each, NAMED, count, site=site).run() for each in RIVALS
            }
            rows.append({"way": f"signal.send(...), {site}", "count": count, "runs": runs})
    return _raced(rows, patience)


def senders(patience: float) -> list[Row]:
    """Sending by one of many senders, and by one without a receiver of its own."""
    rows = []
    for count in (1, 2, 100, 10_000):
        for kind in (type, Task, str):
            for known in (True, False):
                runs = {
                    each.name: cases.sending_to_one(each, count, kind, known).run()
                    for each in RIVALS
                    if count <= each.most
                }
                runs[BASE] = cases.sending(FASTSIG, NAMED, 1).run()
                for each in OURS:
                    runs[f"{each.name}, nobody"] = cases.sending(each, NAMED, 0).run()
                about = {"count": count, "kind": kind.__name__.lower(), "known": known}
                rows.append({**about, "runs": runs})
    return _raced(rows, patience)


def raising(patience: float) -> list[Row]:
    """Sending to a receiver that raises; the log goes nowhere."""
    with cases.quiet():
        runs = {each.name: cases.sending(each, RAISES, 1).run() for each in RIVALS}
        return _raced([{"count": 1, "runs": runs}], patience)


def connects(patience: float) -> list[Row]:
    """Connecting so many receivers, for each of them."""
    return _connections(cases.connecting, patience, lambda count: count)


def disconnects(patience: float) -> list[Row]:
    """Disconnecting one of so many receivers."""
    return _connections(cases.disconnecting, patience, lambda count: cases.SOME)


def _connections(
    preparing: Callable[[Contender, list[Any]], Prepare],
    patience: float,
    goes: Callable[[int], int],
) -> list[Row]:
    rows = []
    for count in CONNECTIONS:
        things = alike(count)
        runs = {
            each.name: prepared_run(preparing(each, things))
            for each in RIVALS
            if count <= each.most
        }
        rows.append({"count": count, "runs": runs, "goes": goes(count)})
    return _raced(rows, patience)


def dying(patience: float) -> list[Row]:
    """Many receivers dying at once, and the next send."""
    rows = []
    for count in (1_000, 10_000):
        runs = {
            each.name: prepared_run(cases.dying(each, count))
            for each in RIVALS
            if count <= each.most
        }
        rows.append({"count": count, "runs": runs})
    return _raced(rows, patience)


def memories(patience: float) -> list[Row]:
    """The bytes that a connection takes."""
    return [{"count": 1_000, "bytes": {each.name: cases.memory(each) for each in RIVALS}}]


def imports(patience: float) -> list[Row]:
    """Importing `fastsig.signals` without Celery, beyond what a bare interpreter has imported."""
    best: dict[str, dict[str, int]] = {each.name: {} for each in OURS}
    for _ in range(10 + round(10 * patience)):
        for each in OURS:
            modules = best[each.name]
            for module, taken in _imported(each is FASTSIG).items():
                modules[module] = min(taken, modules.get(module, taken))
    slowest = {name: sorted(best[name], key=best[name].get)[:-6:-1] for name in best}
    return [{"ns": {name: sum(best[name].values()) for name in best}, "slowest": slowest}]


def _imported(compiled: bool) -> dict[str, int]:
    """Return the modules that importing `fastsig.signals` imports, and the nanoseconds of each.

    The interpreter is one without `site`, so that what happens to be installed does not matter;
    what `site` needs itself, and `weakref`, is imported before.
    """
    folder = str(Path(inspect.getfile(FASTSIG.package)).parents[1])
    statement = f"import os, weakref, sys; sys.path.append({folder!r}); import fastsig.signals"
    environment = {
        **os.environ,
        **cases.core_switches(compiled),
        "FASTSIG_CELERY": "0",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(cases.CACHE / "pycache"),
    }
    shown = subprocess.run(
        [sys.executable, "-S", "-X", "importtime", "-c", statement],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stderr
    _, _, after = shown.partition("| weakref\n")
    lines = [line.removeprefix("import time:").split("|") for line in after.splitlines()]
    return {name.strip(): int(microseconds) * 1_000 for microseconds, _, name in lines}


def end_to_end(patience: float) -> list[Row]:
    """Celery running a task, and publishing one, through its own signals and through fastsig.

    Once more with Django set up, whose fixup in Celery has receivers of its own.
    """
    found: dict[tuple[str, bool, int], list[dict[str, float]]] = {}
    for _ in range(1 if patience < 1 else 3):  # where things lie in memory makes a difference
        for count, django in ((0, False), (1, False), (5, False), (0, True), (5, True)):
            with ExitStack() as stack:
                workers = {
                    name: stack.enter_context(worker(name, count, django)) for name in DISPATCHERS
                }
                works = WORK[:1] if django else WORK
                pairs = [{name: workers[name][what] for name in workers} for what in works]
                times = races(pairs, 2 * patience, a_slice=5_000_000)
            for what, ns in zip(works, times, strict=True):
                found.setdefault((what, django, count), []).append(ns)
    return [
        {"what": what, "django": django, "count": count, "ns": combine(times)}
        for (what, django, count), times in sorted(found.items())
    ]


def _raced(rows: list[Row], patience: float) -> list[Row]:
    """Return the rows with figures instead of their runs (each of which does so many "goes")."""
    found = races([row["runs"] for row in rows], patience)
    return [
        {
            **{key: row[key] for key in row if key not in ("runs", "goes")},
            "ns": {name: taken / row.get("goes", 1) for name, taken in ns.items()},
        }
        for row, ns in zip(rows, found, strict=True)
    ]
