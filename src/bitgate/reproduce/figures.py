"""Figures of grids: ours with error bars, published points beside them where they are given."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bitgate.reproduce.comparison import Comparison, compare
from bitgate.reproduce.grid import Cell, Grid
from bitgate.reproduce.results import Results

_COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:red")


def draw(grid: Grid, results: Results, targets: Sequence[Path]) -> None:
    """Draws a grid's figure into each target; the suffix chooses the format."""
    # A Figure of its own, not pyplot: no global state, no display needed. Salted: the same file for the same data.
    matplotlib.rcParams["svg.hashsalt"] = "bitgate"
    figure = FIGURES[grid.figure](grid, results)
    for target in targets:
        temporary = target.with_name(f"{target.stem}.tmp{target.suffix}")
        figure.savefig(temporary, dpi=150, metadata={"Date": None} if target.suffix == ".svg" else None)
        temporary.replace(target)


def _table(grid: Grid, results: Results) -> Figure:
    """Every cell and metric on a line, published and ours; a panel for each data set, as their scales differ."""
    comparisons = compare(grid, results)
    panels = [[c for c in comparisons if c.data == data] for data in dict.fromkeys(c.data for c in comparisons)] or [[]]
    columns = min(len(panels), 2)
    tallest = [max(map(len, panels[first : first + columns])) for first in range(0, len(panels), columns)]
    heights = [1.2 + 0.24 * lines for lines in tallest]
    figure = Figure(figsize=(max(8, 6.5 * columns), sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis, panel in zip(axes.flat, panels, strict=False):
        _lines(axis, panel, ensembles="ensemble" in grid.columns)
        _finish(figure, axis, panel[0].data if len(panels) > 1 else grid.title)
    if len(panels) > 1:
        figure.suptitle(grid.title)
    return figure


def _lines(axis: Axes, comparisons: Sequence[Comparison], *, ensembles: bool) -> None:
    lines = np.arange(len(comparisons))
    _intervals(axis, lines - 0.12, [(c.published_mean, c.published_std) for c in comparisons], "published", "tab:gray")
    _intervals(axis, lines + 0.12, [(c.mean, c.std) for c in comparisons], "ours", "tab:blue")
    if ensembles:
        drawn = [
            (line, c.ensemble) for line, c in zip(lines + 0.12, comparisons, strict=True) if c.ensemble is not None
        ]
        axis.plot(
            [x for _, x in drawn], [y for y, _ in drawn], "o", color="tab:blue", mfc="none", label="ours, ensemble"
        )
    axis.set_yticks(lines, [f"{c.cell}, {c.metric}" for c in comparisons], fontsize=8)
    axis.set_ylim(len(comparisons) - 0.4, -0.6)
    axis.set_xlabel("test accuracy, %")


def _intervals(
    axis: Axes, lines: np.ndarray, values: list[tuple[float | None, float | None]], label: str, color: str
) -> None:
    given = [(line, mean, std or 0.0) for line, (mean, std) in zip(lines, values, strict=True) if mean is not None]
    if given:
        y, x, error = zip(*given, strict=True)
        axis.errorbar(x, y, xerr=error, fmt="o", markersize=4, capsize=2, label=label, color=color)


def _gates(grid: Grid, results: Results) -> Figure:
    """Accuracy by the set of discretized gates, a line of points for each number of levels."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axis = figure.subplots()
    sets = list(dict.fromkeys(cell.name.rsplit("-", 1)[0] for cell in grid.cells))
    by_levels: dict[int, list[Comparison]] = {}
    levels_of = {cell.name: next(iter(cell.options["gates"].values())) for cell in grid.cells}
    for comparison in (found for found in compare(grid, results) if found.metric == "map"):
        by_levels.setdefault(levels_of[comparison.cell], []).append(comparison)
    for index, (levels, comparisons) in enumerate(sorted(by_levels.items())):
        shift = 0.12 * (index - (len(by_levels) - 1) / 2)
        x = [sets.index(c.cell.rsplit("-", 1)[0]) + shift for c in comparisons]
        y, error = [c.mean for c in comparisons], [c.std or 0.0 for c in comparisons]
        axis.errorbar(
            x, y, yerr=error, fmt="o", markersize=4, capsize=2, label=f"{levels} levels", color=_COLORS[index]
        )
        given = [
            (at, c.published_mean, c.published_std or 0.0)
            for at, c in zip(x, comparisons, strict=True)
            if c.published_mean is not None
        ]
        if given:
            at, published, spread = (list(values) for values in zip(*given, strict=True))
            axis.errorbar(at, published, spread, fmt="_", color="black", capsize=4, label=f"{levels} levels, published")
    axis.set_xticks(range(len(sets)), sets)
    axis.set_xlabel("discretized gates (c: candidate, i: input, o: output)")
    axis.set_ylabel("test accuracy (MAP), %")
    return _finish(figure, axis, grid.title)


def _temperature(grid: Grid, results: Results) -> Figure:
    """MAP accuracy against the temperature; a panel for each kind of weights, lines with and without exact draws."""
    kinds = list(dict.fromkeys(str(cell.options["weights"]) for cell in grid.cells))
    figure = Figure(figsize=(4.5 * len(kinds), 3.8), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(kinds), sharey=True))
    found = {c.cell: c for c in compare(grid, results) if c.metric == "map"}
    for axis, kind in zip(axes, kinds, strict=True):
        for straight, label in ((True, "straight-through"), (False, "relaxed weights")):
            cells = [c for c in grid.cells if _is(c, weights=kind, straight_through=straight) and c.name in found]
            x = [cell.options["temperature"] for cell in cells]
            y, error = [found[c.name].mean for c in cells], [found[c.name].std or 0.0 for c in cells]
            axis.errorbar(x, y, yerr=error, marker="o", markersize=4, capsize=2, label=label)
        axis.set_xscale("log")
        axis.set_xlabel("temperature")
        axis.set_ylabel("test accuracy (MAP), %")
        _finish(figure, axis, kind)
    return figure


def _entropy(grid: Grid, results: Results) -> Figure:
    """Mean entropy of the weights over the epochs, and against the validation accuracy of drawn networks."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for index, cell in enumerate(grid.cells):
        for row in results.of(cell):
            epochs, entropy = row["curves"]["entropy_bits"]
            left.plot(epochs, entropy, color=_COLORS[index], label=cell.name)
            _, accuracy = row["curves"]["val_sample"]
            right.plot(entropy, 100 * np.asarray(accuracy), ".", color=_COLORS[index], label=cell.name)
    left.set_xlabel("epoch")
    left.set_ylabel("mean weight entropy, bits")
    left.set_yscale("log")
    right.set_xlabel("mean weight entropy, bits")
    right.set_ylabel("validation accuracy (sample), %")
    _finish(figure, right, "")
    return _finish(figure, left, grid.title)


def _bits(grid: Grid, results: Results) -> Figure:
    """Accuracy against bits, a panel for each data set, a line for each kind of weights."""
    panels = list(dict.fromkeys(cell.data for cell in grid.cells))
    figure = Figure(figsize=(4.2 * len(panels), 3.8), layout="constrained")
    found = [c for c in compare(grid, results) if c.metric == "map" and c.bits]
    weights = {cell.name: str(cell.options["weights"]) for cell in grid.cells}
    for axis, data in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        for kind, color in zip(dict.fromkeys(weights.values()), _COLORS, strict=False):
            line = sorted(
                (c.bits or 0, c.mean, c.std or 0.0) for c in found if (c.data, weights[c.cell]) == (data, kind)
            )
            if line:
                x, y, error = zip(*line, strict=True)
                axis.errorbar(x, y, yerr=error, marker="o", markersize=4, capsize=2, label=kind, color=color)
        axis.set_xscale("log")
        axis.set_xlabel("bits of weights and biases")
        axis.set_ylabel("test accuracy (MAP), %")
        _finish(figure, axis, data)
    return figure


def _is(cell: Cell, **options: object) -> bool:
    return all(cell.options.get(name) == value for name, value in options.items())


def _finish(figure: Figure, axis: Axes, title: str) -> Figure:
    axis.grid(alpha=0.3)
    axis.set_title(title)
    handles, labels = axis.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    if unique:
        axis.legend(unique.values(), unique.keys(), fontsize=8)
    return figure


FIGURES: dict[str, Callable[[Grid, Results], Figure]] = {
    "table": _table,
    "gates": _gates,
    "temperature": _temperature,
    "entropy": _entropy,
    "bits": _bits,
}
"""Kinds of figures that a grid may ask for."""
