"""Bias against standard deviation of every estimator, one panel per kind of posterior."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullFormatter

from bitgate.research.comparison import Summary

_STYLES = {
    "r-ste": ("r-trick, straight-through", "#0072B2", "o"),
    "r-relaxed": ("r-trick, relaxed", "#E69F00", "s"),
    "lr": ("lr-trick", "#009E73", "D"),
    "reinforce": ("REINFORCE", "#777777", "v"),
    "reinforce-loo": ("REINFORCE, leave-one-out", "#CC79A7", "^"),
    "arm": ("ARM", "#D55E00", "P"),
}

_NOTE = "hollow: no bias found,\nmarker at the standard error"


def plot(summaries: Sequence[Summary], path: Path, *, weights: str = "binary") -> None:
    """Writes the plot of one kind of weights as SVG and as PNG beside each other.

    Args:
        summaries: of at least one posterior.
        path: where to write; the suffix is replaced by .svg and .png.
        weights: which summaries to plot.
    """
    chosen = [s for s in summaries if s.weights == weights]
    posteriors = list(dict.fromkeys(s.posterior for s in chosen))
    with matplotlib.rc_context({"svg.hashsalt": "bitgate", "font.size": 10}):
        figure = Figure(figsize=(4.9 * len(posteriors), 4.6), layout="constrained")
        axes = figure.subplots(1, len(posteriors), sharex=True, sharey=True, squeeze=False)[0]
        for axis, posterior in zip(axes, posteriors, strict=True):
            _panel(axis, [s for s in chosen if s.posterior == posterior])
            axis.set_title(f"{posterior} posterior", loc="left", fontweight="bold")
        axes[0].set_ylabel("bias / |exact gradient|")
        axes[0].text(0.03, 0.04, _NOTE, transform=axes[0].transAxes, fontsize=9, color="#555555", va="bottom")
        axes[0].margins(x=0.1)
        axes[0].set_ylim(min(s.bias if s.n_biased else s.noise for s in chosen) / 2.2, 1.5)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(path.with_suffix(".png"), dpi=130)


def _panel(axis: Any, summaries: Sequence[Summary]) -> None:
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.grid(True, which="major", color="#e6e6e6", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlabel("standard deviation of one draw / |exact gradient|")
    for family in _STYLES:
        points = [s for s in summaries if s.family == family]
        if points:
            _family(axis, points, family)


def _family(axis: Any, points: Sequence[Summary], family: str) -> None:
    name, color, marker = _STYLES[family]
    heights = [s.bias if s.n_biased else s.noise for s in points]
    stds = [s.std for s in points]
    marks = {"color": color, "marker": marker, "markersize": 7}
    axis.plot(stds, heights, **marks, linewidth=1.6, label=name, zorder=3)
    for summary, std, height in zip(points, stds, heights, strict=True):
        if not summary.n_biased:  # only an upper limit is known: hollow, with an arrow down
            axis.plot(std, height, **marks, markerfacecolor="white", linestyle="", zorder=4)
            arrow = {"arrowstyle": "-|>", "color": color, "shrinkA": 4, "shrinkB": 0}
            axis.annotate("", (std, height / 1.7), (std, height), arrowprops=arrow)
        if summary.temperature is not None:
            prefix = "τ = " if summary is max(points, key=lambda s: s.temperature or 0.0) else ""
            offset = (13, 6) if family == "r-ste" else (-3, -15) if summary.n_biased else (-14, -10)
            axis.annotate(
                f"{prefix}{summary.temperature:g}",
                (std, height),
                offset,
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=color,
                zorder=2.5,  # under the markers
                path_effects=[withStroke(linewidth=2.5, foreground="white")],
            )
