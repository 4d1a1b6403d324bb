"""The targets that fastsig has set itself, and whether the figures meet them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from statistics import geometric_mean
from typing import Any, NamedTuple

from cases import FASTSIG, FLOOR, LOOP, PURE
from figures import BASE, Row
from peers import CELERY
from receivers import NAMED, TRIMMED

RECENT = sys.version_info >= (3, 14)


class Target(NamedTuple):
    """A target, what was measured at its worst, and where that was."""

    what: str
    limit: str
    measured: float
    where: str
    holds: bool


def judged(figures: dict[str, list[Row]]) -> list[Target]:
    """Return all targets, and in brackets what puts them in perspective."""
    sends = [row for row in figures["send"] if row["shape"] != TRIMMED]
    named = [row for row in sends if row["shape"] == NAMED]
    loop = {
        f"{row['shape']}, n = {row['count']}": ratio(row, FASTSIG, LOOP)
        for row in sends
        if row["count"]
    }
    gains = {row["count"]: ratio(row, CELERY, FASTSIG) for row in named}
    pure = {f"n = {row['count']}": ratio(row, PURE, CELERY) for row in named}
    pure_all = {f"{row['shape']}, n = {row['count']}": ratio(row, PURE, CELERY) for row in sends}
    one = {
        row["kind"]: row["ns"][FASTSIG.name] / row["ns"][BASE]
        for row in figures["senders"]
        if row["count"] == 10_000 and row["known"]
    }
    connect = {row["count"]: row for row in figures["connect"]}
    [memory] = figures["memory"]
    [imported] = figures["import"]
    mean = 1.0 if RECENT else 0.85
    return [
        at_most("no receiver / an empty C method", 1.35, {"": ratio(named[0], FASTSIG, FLOOR)}),
        at_most("geometric mean / hand-written loop", mean, {"": geometric_mean(loop.values())}),
        at_most("  (without callable objects)", mean, {"": geometric_mean(ordinary(loop))}),
        worst_case(loop),
        at_least("Celery / fastsig, n <= 3", 4.0, {f"n = {n}": gains[n] for n in (0, 1, 3)}),
        at_least("Celery / fastsig, n = 100", 3.3, {"": gains[100]}),
        at_most("one sender of 10,000 / one receiver", 1.3, one),
        at_most("connect / Celery, 1,000", 0.05, {"": ratio(connect[1_000], FASTSIG, CELERY)}),
        at_most(
            "connect 100,000 / connect 1,000",
            2.0,
            {"": connect[100_000]["ns"][FASTSIG.name] / connect[1_000]["ns"][FASTSIG.name]},
        ),
        at_most(
            "bytes per connection / Celery", 0.5, {"": ratio(memory, FASTSIG, CELERY, "bytes")}
        ),
        at_most("pure core / Celery", 0.6, pure),
        at_most("  (with every shape of receiver)", 0.6, pure_all),
        at_most("ms to import fastsig.signals", 5.0, {"": imported["ns"][FASTSIG.name] / 1e6}),
    ]


def ordinary(ratios: dict[str, float]) -> list[float]:
    """Return the ratios of all but callable objects, at which Python itself is slow."""
    return [value for where, value in ratios.items() if not where.startswith("callable object")]


def worst_case(ratios: dict[str, float]) -> Target:
    """Return the target that no case takes longer than the hand-written loop."""

    def limit(where: str) -> float:
        if where.endswith("n = 1") and RECENT:
            return 1.15
        return 1.05 if where.startswith("bound method") else 1.0

    where = max(ratios, key=lambda where: ratios[where] / limit(where))
    return at_most("worst case / hand-written loop", limit(where), {where: ratios[where]})


def at_most(what: str, limit: float, values: Mapping[str, float]) -> Target:
    """Return the target that the greatest of these values is not above its limit."""
    where = max(values, key=lambda where: values[where])
    return Target(what, f"<= {limit}", values[where], where, values[where] <= limit)


def at_least(what: str, limit: float, values: Mapping[str, float]) -> Target:
    """Return the target that the least of these values is not below its limit."""
    where = min(values, key=lambda where: values[where])
    return Target(what, f">= {limit}", values[where], where, values[where] >= limit)


def ratio(row: Row, one: Any, other: Any, unit: str = "ns") -> float:
    """Return how many times the figure of `other` that of `one` is."""
    return row[unit][one.name] / row[unit][other.name]
