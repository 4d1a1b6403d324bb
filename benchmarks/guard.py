"""Fail when sending, or finding the receivers of a sender, has become clearly slower.

    python benchmarks/guard.py

It takes ratios within one run, which hardly depend on the machine, and has limits that leave room
for the rest: about 1.3 times what they were when these limits were set.
"""

from __future__ import annotations

import sys

import cases
from cases import EMPTY, FASTSIG, LOOP, PURE, Contender, Task
from costs import prepared_run
from receivers import NAMED, alike

from fastsig._measure import Run, races

SECONDS = 1.5
"""How long each comparison takes, about."""

MANY, FEW = 10_000, 1_000

LIMITS = {
    "send to nobody / an empty C method": 2.4,
    "send to 1 / hand-written loop": 1.2,
    "send to 10 / hand-written loop": 1.05,
    "send to 100 / hand-written loop": 1.05,
    "pure core: send to 1 / hand-written loop": 4.9,
    "pure core: send to 10 / hand-written loop": 2.1,
    "one sender of 10,000 / one receiver": 1.6,
    "connect of 10,000 / of 1,000": 4.0,
}


def main() -> int:
    """Return 1 if a limit is exceeded, otherwise 0."""
    failed = 0
    for (what, limit), value in zip(LIMITS.items(), ratios(), strict=True):
        verdict = "ok" if value <= limit else "TOO SLOW"
        failed += value > limit
        print(f"{what:<42}{value:>7.2f}   limit {limit:.2f}   {verdict}")
    return 1 if failed else 0


def ratios() -> list[float]:
    """Return what `LIMITS` limits."""
    one = cases.sending(FASTSIG, NAMED, 1).run()
    of_many = cases.sending_to_one(FASTSIG, MANY, Task).run()
    races_ = [
        {"this": sending(0), "that": sending(0, EMPTY)},
        *({"this": sending(n), "that": sending(n, LOOP)} for n in (1, 10, 100)),
        *({"this": sending(n, PURE), "that": sending(n, LOOP)} for n in (1, 10)),
        {"this": of_many, "that": one},
        {"this": connecting(MANY), "that": connecting(FEW)},
    ]
    found = [race["this"] / race["that"] for race in races(races_, SECONDS)]
    found[-1] /= MANY / FEW
    return found


def sending(count: int, contender: Contender = FASTSIG) -> Run:
    return cases.sending(contender, NAMED, count).run()


def connecting(count: int) -> Run:
    return prepared_run(cases.connecting(FASTSIG, alike(count)))


if __name__ == "__main__":
    sys.exit(main())
