"""Plots of a run: training curves with entropy, and the confusion matrix."""

import csv
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

Metrics = dict[str, tuple[list[float], list[float]]]
"""By column: epochs and values where the column is given."""

_PANELS = {
    "train_loss": ("tab:blue", "training loss, nats"),
    "val_perplexity": ("tab:orange", "validation perplexity"),
    "entropy_bits": ("tab:green", "mean weight entropy, bits"),
}
_CURVES = {"val_sample": "drawn networks (sample)", "val_map": "most probable weights (MAP)"}


def read_metrics(path: Path) -> Metrics:
    """Reads a run's metrics.csv."""
    metrics: Metrics = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value:
                    epochs, values = metrics.setdefault(name, ([], []))
                    epochs.append(float(row["epoch"]) + 1)
                    values.append(float(value))
    return metrics


def plot_training(metrics_file: Path, target: Path, *, title: str = "") -> None:
    """Draws loss, validation accuracy and mean weight entropy over the epochs; the suffix chooses the format."""
    metrics = read_metrics(metrics_file)
    measure = "val_perplexity" if "val_perplexity" in metrics else "accuracy"
    panels = ["train_loss", measure] + ["entropy_bits"] * ("entropy_bits" in metrics)
    figure, axes = _figure(len(panels))
    for axis, panel in zip(axes, panels, strict=True):
        if panel == "accuracy":
            _draw_accuracy(axis, metrics)
        else:
            color, text = _PANELS[panel]
            axis.plot(*metrics[panel], color=color)
            axis.set_title(text)
            axis.set_ylim(bottom=0)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
    if title:
        figure.suptitle(title)
    figure.savefig(target, dpi=150)


def plot_confusion(confusion: Sequence[Sequence[int]], class_names: Sequence[str], target: Path) -> None:
    """Draws a confusion matrix, rows true and columns predicted, coloured by the share of the true class."""
    counts = np.asarray(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(4.0, min(14.0, 1.6 + 0.42 * len(counts)))
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axis, label="share of the true class", format=PercentFormatter(1), shrink=0.8)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    right = float(np.trace(counts) / counts.sum())
    axis.set_title(f"{right:.1%} of {counts.sum()} sequences right")
    if len(counts) <= 30:
        axis.set_xticks(range(len(counts)), class_names, rotation=90 if max(map(len, class_names)) > 3 else 0)
        axis.set_yticks(range(len(counts)), class_names)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                color = "white" if shares[row, column] > 0.5 else "black"
                axis.text(column, row, str(count), ha="center", va="center", color=color, fontsize=8)
    figure.savefig(target, dpi=150)


def _figure(panels: int) -> tuple[Figure, list[Axes]]:
    # A Figure of its own, not pyplot: no global state, no display needed.
    matplotlib.rcParams["svg.hashsalt"] = "bitgate"
    figure = Figure(figsize=(4 * panels, 3.4), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, panels)))


def _draw_accuracy(axis: Axes, metrics: Metrics) -> None:
    for name, label in _CURVES.items():
        if name in metrics:
            axis.plot(*metrics[name], label=label, marker="." if len(metrics[name][0]) < 30 else None)
    axis.set_title("validation accuracy")
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.legend(loc="lower right", fontsize=8)
