"""The targets that fastsig has set itself, and whether the figures meet them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from statistics import geometric_mean
from typing import Any, NamedTuple

from cases import FASTSIG, FLOOR, IMPORTED, LOCAL, LOOP, PURE
from figures import Row
from peers import CELERY, PEERS
from receivers import NAMED, TRIMMED
from states import ADOPTED, OWN, SITES, STOCK

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
    return [*of_sends(figures), *of_states(figures), *of_the_rest(figures)]


def of_sends(figures: dict[str, list[Row]]) -> Iterator[Target]:
    """Yield the targets of a send by a signal of fastsig's own to all receivers."""
    sends = [row for row in figures["send"] if row["shape"] != TRIMMED]
    named = {
        reads: [row for row in sends if row["shape"] == NAMED and row["reads"] is reads]
        for reads in (False, True)
    }
    nobody = named[False][0]
    yield at_most("no receiver / an empty C method", 1.35, {"": ratio(nobody, FASTSIG, FLOOR)})
    for reads, limit in ((False, 0.45), (True, 0.95 if RECENT else 0.85)):
        loop = {
            f"{row['shape']}, n = {row['count']}": ratio(row, FASTSIG, LOOP)
            for row in sends
            if row["count"] and row["reads"] is reads
        }
        kind = f"**kwargs {'read' if reads else 'unread'}"
        mean = {"": geometric_mean(loop.values())}
        yield at_most(f"mean / hand-written loop, {kind}", limit, mean)
        mean = {"": geometric_mean(ordinary(loop))}
        yield at_most("  (without callable objects)", limit, mean)
        yield worst_case(f"worst case / hand-written loop, {kind}", loop)
    gains = {row["count"]: ratio(row, CELERY, FASTSIG) for row in (nobody, *named[True])}
    few = {f"n = {n}": gains[n] for n in (0, 1, 3)}
    yield at_least("Celery / fastsig, n <= 3, **kwargs read", 4.0, few)
    yield at_least("Celery / fastsig, n = 100, **kwargs read", 3.3, {"": gains[100]})
    for peer in PEERS:
        ahead = {
            f"n = {row['count']}, **kwargs {'read' if reads else 'unread'}": ratio(
                row, FASTSIG, peer
            )
            for reads, rows in named.items()
            for row in rows
            if peer.name in row["ns"]
        }
        if peer.name in named[True][-1]["ns"]:
            yield at_most(f"send / {peer.name}", 1.0, ahead)
    [one] = [row for row in named[True] if row["count"] == 1]
    # Of receivers that read their **kwargs: the floor passes everything.
    fixed = {"": one["ns"][FASTSIG.name] - one["ns"][FLOOR.name]}
    yield at_most("ns of one receiver beyond the floor's", 30.0, fixed)
    pure = {
        f"{row['shape']}, n = {row['count']}": ratio(row, PURE, CELERY)
        for row in figures["send"]
        if CELERY.name in row["ns"]
    }
    yield at_most("pure / Celery, any shape and n", 1.0, pure)
    of_one = {
        f"**kwargs {'read' if reads else 'unread'}": ratio(row, PURE, CELERY)
        for reads, rows in named.items()
        for row in rows
        if row["count"] == 1
    }
    yield at_most("pure / Celery, one receiver, named", 0.9, of_one)


def of_states(figures: dict[str, list[Row]]) -> Iterator[Target]:
    """Yield the targets of the states that signals are in."""
    states = figures["states"]
    adopted: dict[str, float] = {}
    nobody: dict[str, float] = {}
    sites: dict[str, dict[str, float]] = {OWN: {}, ADOPTED: {}}
    misses: dict[str, float] = {}
    many: dict[str, float] = {}
    more: dict[str, float] = {}
    making: dict[str, float] = {}
    for row in states:
        ns, where = row["ns"], row["order"]
        if row["what"] == "send":
            where += f", n = {row['count']}{', read' * row['reads']}"
            for site in SITES:
                if f"{OWN}, {site}" in ns:
                    into = adopted if row["count"] else nobody
                    into[f"{where}, {site}"] = ns[f"{ADOPTED}, {site}"] / ns[f"{OWN}, {site}"]
            for kind, into in sites.items():
                if f"{kind}, {IMPORTED}" in ns:
                    into[where] = ns[f"{kind}, {IMPORTED}"] / ns[f"{kind}, {LOCAL}"]
        elif row["what"] == "miss":
            for kind in (OWN, ADOPTED):
                at = f"{where}, {kind}, {row['count']} x {row['kind']}"
                misses[at] = ns[f"{kind}, miss"] / ns[f"{kind}, nobody"]
        elif row["what"] == "one of many":
            many[f"{where}, {row['kind']}"] = ns[ADOPTED] / ns[OWN]
            for kind in (OWN, ADOPTED):
                more[f"{where}, {kind}, {row['kind']}"] = ns[kind] - ns["one receiver"]
        else:
            making[where] = ns[ADOPTED] / ns[STOCK]
    yield at_most("adopted / own signal", 1.1, adopted)
    yield at_most("  nobody", 1.2, nobody)
    yield at_most("  one sender of 10,000", 1.1, many)
    yield at_most("making a signal, adopted / Celery's", 2.0, making)
    yield at_most("imported / local name, own signal", 1.1, sites[OWN])
    yield at_most("imported / local name, adopted signal", 1.1, sites[ADOPTED])
    yield at_most("miss / nobody", 1.6, misses)
    yield at_most("ns of one sender of 10,000 beyond one receiver's", 45.0, more)


def of_the_rest(figures: dict[str, list[Row]]) -> Iterator[Target]:
    """Yield the targets of connecting, memory and importing."""
    connect = {row["count"]: row for row in figures["connect"]}
    [memory] = figures["memory"]
    [imported] = figures["import"]
    for core, limit in ((FASTSIG, 1 / 20), (PURE, 1 / 9)):
        value = {"": ratio(connect[1_000], core, CELERY)}
        yield at_most(f"connect 1,000 / Celery, {core.name}", round(limit, 3), value)
    yield at_most(
        "connect 100,000 / connect 1,000",
        2.0,
        {"": connect[100_000]["ns"][FASTSIG.name] / connect[1_000]["ns"][FASTSIG.name]},
    )
    value = {"": ratio(memory, FASTSIG, CELERY, "bytes")}
    yield at_most("bytes per connection / Celery", 0.5, value)
    ms = {"": imported["ns"][FASTSIG.name] / 1e6}
    yield at_most("ms to import fastsig.signals", 5.0, ms)


def ordinary(ratios: dict[str, float]) -> list[float]:
    """Return the ratios of all but callable objects, at which Python itself is slow."""
    return [value for where, value in ratios.items() if not where.startswith("callable object")]


def worst_case(what: str, ratios: dict[str, float]) -> Target:
    """Return the target that no case takes longer than the hand-written loop."""

    def limit(where: str) -> float:
        if where.endswith("n = 1") and RECENT:
            return 1.15
        return 1.05 if where.startswith("bound method") else 1.0

    where = max(ratios, key=lambda where: ratios[where] / limit(where))
    return at_most(what, limit(where), {where: ratios[where]})


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
