"""Draws the seconds of each way as bars: `picture.py RESULTS.json PICTURE`, in an environment that has matplotlib.

The background is its own, so that it can be read on a light page and on a dark one.
"""

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl  # type: ignore[import-not-found,unused-ignore]
from matplotlib.axes import Axes  # type: ignore[import-not-found,unused-ignore]
from matplotlib.figure import Figure  # type: ignore[import-not-found,unused-ignore]
from matplotlib.ticker import FuncFormatter  # type: ignore[import-not-found,unused-ignore]

WIDTH: Final = 800  # pixels on a page, of which there are 96 to an inch
BAR: Final = 28
OURS, OTHERS, LIMIT, INK, FAINT, PAPER = "#0969da", "#a8b3c0", "#cf222e", "#1f2328", "#59636e", "#ffffff"
GROUPS: Final = {"bronze": "Bronze to S3", "lake": "Bronze, silver and gold to S3"}
Series = Mapping[str, Any]


def rows_of(told: Mapping[str, Any], group: str) -> list[Series]:
    """Who was measured in a group, the quickest first."""
    found = [one for one in told["series"] if one["group"] == group and one["seconds"] and not one["failure"]]
    return sorted(found, key=seconds)


def seconds(one: Series) -> float:
    """The median of its rounds."""
    return float(statistics.median(one["seconds"]))


def draw_group(axes: Axes, title: str, rows: Sequence[Series], limit: float) -> None:
    """One group's bars, each with its figures behind it, and the limit as a line through them."""
    for place, one in enumerate(rows):
        ours = not one["is_peer"]
        axes.barh(place, seconds(one), height=0.66, color=OURS if ours else OTHERS, zorder=2)
        words = f" {seconds(one):.1f} s · {max(one['peak']) / 1e6:,.0f} MB"
        axes.text(seconds(one), place, words, va="center", color=INK, weight="bold" if ours else "normal", zorder=3)
    names = [one["title"].replace("*", "").replace("`", "") for one in rows]
    axes.set_yticks(range(len(rows)), names)
    for label, one in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_weight("normal" if one["is_peer"] else "bold")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.axvline(limit, color=LIMIT, linewidth=1.2, zorder=4)
    axes.set_title(title, loc="left", color=INK, weight="bold", size=12, pad=8)


def draw(told: Mapping[str, Any]) -> Figure:
    """The whole picture."""
    mpl.rcParams.update({"font.size": 10.5, "svg.hashsalt": "shopease", "text.color": INK, "ytick.color": INK})
    groups = {title: rows for group, title in GROUPS.items() if (rows := rows_of(told, group))}
    limit = next(seconds(one) for one in told["series"] if one["name"] == "copy")
    counts = [len(rows) for rows in groups.values()]
    height = sum(counts) * BAR + 70 * len(groups) + 60
    figure = Figure(figsize=(WIDTH / 96, height / 96), facecolor=PAPER, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1, hspace=0.05)
    panels = figure.subplots(len(groups), 1, sharex=True, squeeze=False, height_ratios=counts)[:, 0]
    most = max(seconds(rows[-1]) for rows in groups.values())
    for axes, (title, rows) in zip(panels, groups.items(), strict=True):
        draw_group(axes, title, rows, limit)
        axes.set_xscale("log")
        axes.set_xlim(limit / 1.5, most * 6)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} s"))
        axes.minorticks_off()
        axes.tick_params(axis="both", length=0, labelcolor=INK)
        axes.grid(axis="x", color="#e6e9ed", zorder=0)
        axes.spines[:].set_visible(False)
    figure.supxlabel(_caption(told, limit), size=9.5, color=FAINT, x=0.015, ha="left", linespacing=1.4)
    return figure


def _caption(told: Mapping[str, Any], limit: float) -> str:
    machine = told["machine"]
    rounds = "one round" if told["rounds"] == 1 else f"medians of {told['rounds']} rounds"
    return (
        f"Red: COPY of the tables to /dev/null, {limit:.2f} s. Blue: this tool. Seconds, on a logarithmic scale, and "
        "peak memory.\n"
        f"{told['rows'] / 1e6:.1f} million rows, {told['bronze_bytes'] / 1e6:.0f} MB of CSV; {rounds}; "
        f"{machine['cores']} cores, {machine['memory']}; S3 is a loopback server. Shorter is better."
    )


def main() -> None:
    """Draw what was measured."""
    told = json.loads(Path(sys.argv[1]).read_text())
    target = Path(sys.argv[2])
    target.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None} if target.suffix == ".svg" else None
    draw(told).savefig(target, dpi=96, metadata=metadata)


if __name__ == "__main__":
    main()
