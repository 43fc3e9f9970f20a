"""Plot of a benchmark: microseconds a step over units."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

_PANELS = {"step": "one step a call", "run": "inside one call of a whole sequence"}


def plot_bench(rows: Sequence[dict[str, Any]], target: Path) -> None:
    """Draws the rows of the fewest threads, both axes logarithmic, with the floor; the suffix chooses the format."""
    threads = min(row["threads"] for row in rows)
    rows = sorted((row for row in rows if row["threads"] == threads), key=lambda row: row["size"])
    matplotlib.rcParams["svg.hashsalt"] = "bitgate"
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    sizes = [row["size"] for row in rows]
    for axis, (kind, title) in zip(figure.subplots(1, 2, sharey=True), _PANELS.items(), strict=True):
        for number, name in enumerate(rows[0]["us_per_step"]):
            times = [row["us_per_step"][name][kind]["median"] for row in rows]
            axis.plot(sizes, times, marker="o", ms=4, label=name, lw=2.5 if number == 0 else 1.2)
        axis.plot(sizes, [row["floor_us"]["2"] for row in rows], "k:", label="floor of the products, 2 bits")
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks(sizes)
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xlabel("units, and as many inputs")
        axis.set_title(title)
        axis.grid(alpha=0.3)
    figure.axes[0].set_ylabel(f"microseconds a step, {threads} thread(s)")
    figure.axes[0].legend(fontsize=8)
    figure.savefig(target, dpi=150)
