"""The chart of the README: what a send takes, fastsig beside the other libraries."""

from __future__ import annotations

import platform
from pathlib import Path

import matplotlib as mpl
from cases import FASTSIG, FLOOR, LOOP, PURE
from figures import Row
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SHOWN = (1, 10)
NOTES = {
    "psygnal emit": "psygnal emit *",
    "psygnal emit_fast": "psygnal emit_fast *",
    "pyee": "pyee *",
}
TITLE = "Microseconds per send, receivers that do not read their **kwargs"
FOOTNOTE = (
    "* gives no results; psygnal passes by position"
    f" · {platform.python_implementation()} {platform.python_version()}"
)

# Shades that can be told from white and from black.  The SVG is an image of its own colours, which
# follow what the reader's browser is set to, and not always the page: so it brings its own ground.
INK, LINE = "#1f2328", "#d1603d"
COLOURS = {FASTSIG.name: "#1a7f5a", PURE.name: "#58b090"}
PEER = "#8b95a1"

STYLE = """<style>
svg { color: #1f2328; background: #fff }
@media (prefers-color-scheme: dark) { svg { color: #e6edf3; background: #0d1117 } }
</style>
"""

SETTINGS = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "font.family": "sans-serif",
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "fastsig",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def draw(rows: list[Row], folder: Path) -> None:
    """Draw the chart, as SVG and as PNG.

    Arguments:
        rows: The figures of receivers with named parameters.
        folder: Where to write the chart.
    """
    with mpl.rc_context(SETTINGS):
        figure = _figure([row for row in rows if row["count"] in SHOWN])
        figure.savefig(folder / "chart.png", dpi=160, facecolor="white")
        figure.savefig(folder / "chart.svg", transparent=True, metadata={"Date": None})
    svg = (folder / "chart.svg").read_text()
    head, defs, rest = svg.replace(INK, "currentColor").partition(" <defs>")
    (folder / "chart.svg").write_text(f"{head}{STYLE}{defs}{rest}")


def _figure(rows: list[Row]) -> Figure:
    last = rows[-1]["ns"]
    names = sorted(last.keys() - {LOOP.name, FLOOR.name}, key=lambda name: -last[name])
    # One above the other, so that the letters can be read on a telephone.
    figure = Figure(figsize=(5, 4.8), layout="constrained")
    for panel, row in zip(figure.subplots(len(rows)), rows, strict=True):
        _panel(panel, row, names)
    figure.suptitle(TITLE, fontsize=10)
    figure.supxlabel(FOOTNOTE, fontsize=8)
    return figure


def _panel(panel: Axes, row: Row, names: list[str]) -> None:
    """Draw the bars for one number of receivers, and the hand-written loop as a line."""
    values = [row["ns"][name] / 1_000 for name in names]
    loop = row["ns"][LOOP.name] / 1_000
    colours = [COLOURS.get(name, PEER) for name in names]
    panel.barh(range(len(names)), values, 0.72, color=colours)
    for i, value in enumerate(values):
        clear = value if value < 0.7 * loop else max(value, loop)  # not across the line
        panel.annotate(
            _short(value),
            (clear, i),
            xytext=(4, 0),
            textcoords="offset points",
            verticalalignment="center",
            fontsize=8,
        )
    panel.axvline(loop, color=LINE, linewidth=1.3, linestyle=(0, (4, 2)))
    panel.annotate(
        f"hand-written loop {_short(loop)}",
        (loop, 1),
        xytext=(3, 3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        color=LINE,
        fontsize=8,
    )
    panel.set_xlim(0, max(values) * 1.22)
    panel.set_ylabel(f"{row['count']} receiver{'s' if row['count'] > 1 else ''}")
    panel.set_yticks(range(len(names)), [NOTES.get(name, name) for name in names])
    panel.get_yticklabels()[names.index(FASTSIG.name)].set_fontweight("bold")
    panel.tick_params(axis="y", length=0)
    panel.spines[["top", "right"]].set_visible(False)


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"
