"""Measure fastsig beside the other signal libraries, and say which targets hold.

    python benchmarks/run.py [--quick] [--output DIR]

It prints the ratios and the targets, and writes ``bench.json``, ``chart.svg`` and ``chart.png``.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import chart
import figures
from cases import FASTSIG, FLOOR, LOOP, PURE
from figures import Row
from peers import CELERY
from receivers import NAMED
from targets import Target, judged, ratio

KINDS = {False: "do not read their **kw", True: "read it"}
CELERY_KEYS = ("what", "django", "count")
PACKAGES = ("celery", "django", "blinker", "pydispatcher", "psygnal", "pyee", "dust-riven")


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description="Measure fastsig beside its peers.")
    parser.add_argument("--quick", action="store_true", help="less exact, in under two minutes")
    parser.add_argument("--output", type=Path, default=Path("bench-results"), metavar="DIR")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)

    start = time.monotonic()
    measured = figures.everything(
        options.quick, lambda part: print(f"measuring: {part}", file=sys.stderr, flush=True)
    )
    targets = judged(measured)
    about = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "packages": {package: version(package) for package in PACKAGES},
        "quick": options.quick,
        "seconds": round(time.monotonic() - start),
    }

    show_ratios(measured["send"])
    for reads, kind in KINDS.items():
        named = [row for row in measured["send"] if row["shape"] == NAMED and row["reads"] is reads]
        show(f"ns per send to n receivers, named parameters, that {kind}", named, "count")
    show_states(measured["states"])
    show("ns per send, called in several ways", measured["ways to call"], "way", "count")
    show("ns per send by one of several senders", measured["senders"], "count", "kind", "known")
    show("ns per send to a receiver that raises", measured["raising"])
    show("ns per connect of so many", measured["connect"], "count")
    show("ns per disconnect from so many", measured["disconnect"], "count")
    show("ns for so many receivers to die, and the next send", measured["dying"], "count")
    show("bytes per connection", measured["memory"], unit="bytes")
    show("ns to import fastsig.signals, without Celery", measured["import"])
    show("ns per Celery task, n receivers on each signal", measured["celery"], *CELERY_KEYS)
    show_targets(targets)

    results = {**about, "targets": [target._asdict() for target in targets], "figures": measured}
    (options.output / "bench.json").write_text(json.dumps(results, indent=1) + "\n")
    unread = [row for row in measured["send"] if row["shape"] == NAMED and not row["reads"]]
    chart.draw(unread, options.output)
    print(f"\n{about['python']} on {about['platform']}, {about['seconds']} s: {options.output}")


def show_ratios(rows: list[Row]) -> None:
    """Print what a send costs in relation to the yardsticks and to Celery."""
    print("\nns per send, and how many times that of the loop, the floor, ... it is\n")
    print(
        f"{'receivers':<18}{'read **kw':<10}{'n':>4}{'ns':>8}{'/ loop':>8}{'/ floor':>9}"
        f"{'Celery / fastsig':>19}{'pure / Celery':>16}"
    )
    for row in rows:
        line = f"{row['shape']:<18}{'yes' if row['reads'] else '':<10}{row['count']:>4}"
        line += f"{row['ns'][FASTSIG.name]:>8.0f}"
        line += f"{ratio(row, FASTSIG, LOOP):>8.2f}{ratio(row, FASTSIG, FLOOR):>9.2f}"
        if CELERY.name in row["ns"]:
            line += f"{ratio(row, CELERY, FASTSIG):>19.1f}{ratio(row, PURE, CELERY):>16.2f}"
        print(line)


def show(title: str, rows: list[Row], *keys: str, unit: str = "ns") -> None:
    """Print a table of figures, each row of them under its `keys`."""
    names = list(dict.fromkeys(name for row in rows for name in row[unit]))
    lines = [[*keys, *names]]
    lines += [[*(str(row[key]) for key in keys), *_cells(row[unit], names)] for row in rows]
    if len(names) > 4:
        lines = [list(column) for column in zip(*lines, strict=True)]
    widths = [max(map(len, column)) + 3 for column in zip(*lines, strict=True)]
    print(f"\n{title}\n")
    for line in lines:
        print("".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)))


def _cells(figures: dict[str, float], names: list[str]) -> list[str]:
    return [f"{figures[name]:,.0f}" if name in figures else "" for name in names]


def show_states(rows: list[Row]) -> None:
    """Print what there is in each state that signals are in."""
    print("\nns per send or signal, in the states that signals are in\n")
    for row in rows:
        about = [str(row[key]) for key in row if key not in ("order", "what", "reads", "ns")]
        about += ["read **kw"] * row.get("reads", False)
        print(f"{row['order']}: {row['what']} {' '.join(about)}".rstrip())
        for name, ns in row["ns"].items():
            print(f"    {name:<32}{ns:>10.1f}")


def show_targets(targets: list[Target]) -> None:
    """Print which targets hold."""
    print("\nTargets\n")
    for target in targets:
        verdict = "holds" if target.holds else "DOES NOT HOLD"
        line = f"{target.what:<50}{target.limit:>8}{target.measured:>9.3f}   {verdict}"
        print(f"{line:<84}{target.where}".rstrip())


if __name__ == "__main__":
    main()
