"""The analyses of memory as one figure: forget gates, hidden states, gradients, and the range of the states."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bitgate.research.examine import Memory

_FLOOR = 1e-12
_CEILING = 1e12


def plot_memory(memories: Sequence[Memory], target: Path, *, title: str = "") -> None:
    """Draws all of them into one figure of four panels; the suffix chooses the format."""
    with matplotlib.rc_context({"svg.hashsalt": "bitgate", "font.size": 9}):
        figure = Figure(figsize=(11, 8.2), layout="constrained")
        axes = figure.subplots(2, 2).ravel()
        colors = matplotlib.colormaps["tab10"].colors  # type: ignore[attr-defined]
        for memory, color in zip(memories, (colors * len(memories))[: len(memories)], strict=True):
            _draw(axes, memory, color)
        titles = (
            "product of forget gates over distance (dotted: best unit)",
            "cosine of hidden states over distance",
            "gradient that reaches a step, by distance from the end",
            "largest |h| within 100 steps, over a long sequence",
        )
        for axis, text in zip(axes, titles, strict=True):
            axis.set_title(text, fontsize=10)
            axis.set_xlabel("steps")
            axis.grid(alpha=0.3)
        for index in (0, 2, 3):
            axes[index].set_yscale("log")
        for index in (0, 1, 2):
            axes[index].set_xscale("log")
        axes[0].set_ylim(_FLOOR, 2)
        axes[2].set_ylim(bottom=_FLOOR)
        axes[3].set_ylim(bottom=0.1)
        handles, labels = axes[1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
        if title:
            figure.suptitle(title)
        figure.savefig(target, dpi=130, metadata={"Date": None} if target.suffix == ".svg" else None)


def _draw(axes: Sequence[Axes], memory: Memory, color: tuple[float, ...]) -> None:
    distances = np.array(memory.distances)
    axes[0].plot(distances, np.maximum(memory.products, _FLOOR / 10), color=color)
    axes[0].plot(distances, np.maximum(memory.best_products, _FLOOR / 10), color=color, linestyle=":")
    axes[1].plot(distances, memory.cosines, color=color, label=memory.name)
    gradients = np.array(memory.gradients)
    axes[2].plot(np.arange(1, len(gradients) + 1), np.clip(gradients, _FLOOR / 10, _CEILING), color=color)
    h = np.nan_to_num(np.array(memory.range.h), nan=_CEILING, posinf=_CEILING)
    axes[3].plot(memory.range.steps, np.clip(h, _FLOOR, _CEILING), color=color)
