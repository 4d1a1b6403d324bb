"""Fail when sending, or finding the receivers of a sender, has become clearly slower.

    python benchmarks/guard.py [--slower 1.15]

It takes ratios within one run, which hardly depend on the machine.  What is above its limit is
measured again, up to twice: noise goes away, and a defect fails three times.  With ``--slower`` it
shows what it can see: which checks would fail if what they measure took so many times as long.
"""

from __future__ import annotations

import argparse
import sys
from typing import NamedTuple

import cases
from cases import EMPTY, FASTSIG, HELD, IMPORTED, LOCAL, LOOP, PURE, Contender, Task
from costs import prepared_run
from receivers import NAMED, alike
from states import Adopted

from fastsig.command.measure import Run, races

SECONDS = 0.8
"""How long each comparison takes, about."""

TIMES = 3
"""So often a check fails before the guard does."""

MANY, FEW = 10_000, 1_000
NEW = sys.version_info >= (3, 14)


class Check(NamedTuple):
    """What takes `this` must take at most `limit` times what takes `that`."""

    what: str
    this: Run
    that: Run
    limit: float


def send(
    count: int,
    contender: Contender = FASTSIG,
    reads: bool = False,
    site: str = HELD,
) -> Run:
    return cases.sending(contender, NAMED, count, reads=reads, site=site).run()


def by_one(count: int, contender: Contender = FASTSIG, known: bool = True) -> Run:
    return cases.sending_to_one(contender, count, Task, known).run()


def connecting(count: int) -> Run:
    """Connect so many receivers to a signal, and again to others until they are `MANY`."""
    run = prepared_run(cases.connecting(FASTSIG, alike(count)))
    return lambda times: run(times * MANY // count)


BUILDS = 1.15
"""So much two builds of the same source were seen to differ, where their code lies in memory."""


def checks() -> list[Check]:
    """Return what is checked.

    The limits, up to Python 3.13 and from 3.14 on, are 1.1 times what was measured, and those of
    signals with 10,000 senders 1.2 times: where they lie in memory makes a difference.  `BUILDS`
    comes on top.
    """
    adopted = Adopted()
    all_checks = [
        ("send to nobody / an empty C method", send(0), send(0, EMPTY), (2.0, 1.7)),
        *(
            (
                f"send to {count} / loop, **kw {'read' if reads else 'unread'}",
                send(count, reads=reads),
                send(count, LOOP, reads=reads),
                limits,
            )
            for (count, reads), limits in SENDS.items()
        ),
        ("one sender of 10,000 / one receiver", by_one(MANY), send(1), (1.39, 1.85)),
        ("miss, 2 senders / nobody", by_one(2, known=False), send(0), (1.2, 1.25)),
        ("miss, 10,000 senders / nobody", by_one(MANY, known=False), send(0), (1.3, 1.35)),
        ("imported / local name", send(0, site=IMPORTED), send(0, site=LOCAL), (1.12, 1.15)),
        ("adopted / own signal, nobody", send(0, adopted), send(0), (1.12, 1.12)),
        ("adopted / own signal, one receiver", send(1, adopted), send(1), (1.1, 1.15)),
        ("adopted / own, one sender of 10,000", by_one(MANY, adopted), by_one(MANY), (1.2, 1.2)),
        *(
            (
                f"pure: send to {count} / loop, **kw {'read' if reads else 'unread'}",
                send(count, PURE, reads),
                send(count, LOOP, reads),
                limits,
            )
            for (count, reads), limits in PURE_SENDS.items()
        ),
        (
            "pure: miss, 10,000 senders / nobody",
            by_one(MANY, PURE, known=False),
            send(0, PURE),
            (4.7, 3.3),
        ),
        ("connect 10,000 / ten times 1,000", connecting(MANY), connecting(FEW), (1.5, 1.5)),
    ]
    return [Check(*each, round(limits[NEW] * BUILDS, 2)) for *each, limits in all_checks]


SENDS = {
    (1, False): (0.7, 0.86),
    (10, False): (0.48, 0.5),
    (100, False): (0.47, 0.48),
    (1, True): (1.01, 1.15),
    (10, True): (0.86, 0.84),
    (100, True): (0.87, 0.85),
}
"""The limits of sends to so many receivers that read their ``**kw`` or do not."""

PURE_SENDS = {
    (1, False): (5.9, 6.8),
    (10, False): (1.77, 2.05),
    (10, True): (3.25, 3.4),
}


def main(slower: float) -> int:
    """Return 1 if a limit is exceeded each time, otherwise 0."""
    left = checks()
    for time in range(1, TIMES + 1):
        failed = []
        found = races([{"that": each.that, "this": each.this} for each in left], SECONDS)
        for check, ns in zip(left, found, strict=True):
            value = ns["this"] / ns["that"] * slower
            verdict = "ok"
            if value > check.limit:
                failed.append(check)
                verdict = "TOO SLOW" if time == TIMES else "again"
            print(f"{check.what:<40}{value:>7.2f}   limit {check.limit:<5}   {verdict}", flush=True)
        left = failed
        if not left:
            return 0
    return 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fail if fastsig has become clearly slower.")
    parser.add_argument("--slower", type=float, default=1.0, metavar="TIMES")
    sys.exit(main(parser.parse_args().slower))
