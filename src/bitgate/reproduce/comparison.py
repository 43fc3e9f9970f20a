"""Ours beside the published figures."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bitgate.reproduce.grid import COLUMNS, COST_COLUMNS, Cell, Grid
from bitgate.reproduce.results import Results, Row


@dataclass(frozen=True)
class Comparison:
    """One metric of one cell: test accuracies in %, and how they stand to the published ones."""

    cell: str
    data: str
    metric: str
    published_mean: float | None
    published_std: float | None
    mean: float
    std: float | None
    trials: int
    core_hours: float
    bits: int | None = None
    recurrent_parameters: int | None = None
    parameters: int | None = None
    epoch_seconds: float | None = None
    step_us: float | None = None
    ensemble: float | None = None

    @property
    def difference(self) -> float | None:
        """Ours minus published, in points."""
        return None if self.published_mean is None else self.mean - self.published_mean

    @property
    def overlap(self) -> bool | None:
        """Whether the intervals of one standard deviation around both means overlap; None before a second trial."""
        if self.difference is None or self.std is None or self.published_std is None:
            return None
        return abs(self.difference) <= self.std + self.published_std

    @property
    def reached(self) -> bool | None:
        """Whether ours is at least the published mean less its standard deviation (or 0.5 points if that is more)."""
        return self._reaches(self.mean)

    @property
    def reached_by_ensemble(self) -> bool | None:
        """The same of the ensemble of the draws, where there is one."""
        return self.reached if self.ensemble is None else self._reaches(self.ensemble)

    def _reaches(self, accuracy: float) -> bool | None:
        if self.published_mean is None or self.published_std is None:
            return None
        return accuracy - self.published_mean >= -max(self.published_std, 0.5)

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self) | {"difference": self.difference, "overlap": self.overlap, "reached": self.reached}

    def texts(self, columns: Sequence[str] = COLUMNS) -> tuple[str, ...]:
        """A row of the table."""
        told = {None: "", True: "yes", False: "no"}
        published = "" if self.published_mean is None else _interval(self.published_mean, self.published_std)
        difference = "" if self.difference is None else f"{self.difference:+.2f}"
        ours = _interval(self.mean, self.std)
        texts = (self.cell, self.metric, published, ours, difference, told[self.overlap], str(self.trials))
        shown = dict(zip(COLUMNS, texts, strict=True))
        shown["claimed"] = published
        shown["ensemble"] = "" if self.ensemble is None else f"{self.ensemble:.2f}"
        shown |= {
            name: "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.3g}"
            for name, value in self._costs().items()
        }
        return tuple(shown[name] for name in columns)

    def _costs(self) -> dict[str, float | None]:
        values = (self.bits, self.recurrent_parameters, self.parameters, self.epoch_seconds, self.step_us)
        return dict(zip(COST_COLUMNS, values, strict=True))


def compare(grid: Grid, results: Results) -> list[Comparison]:
    """A comparison for each cell and metric that has results."""
    return [comparison for cell in grid.cells for comparison in _compare_cell(cell, results)]


def _compare_cell(cell: Cell, results: Results) -> Iterable[Comparison]:
    rows = results.of(cell)
    hours = sum(row["seconds"] for row in rows) / 3600
    for metric in ("sample", "map"):
        values = [100 * row["test"][metric] for row in rows if metric in row["test"]]
        if values:
            mean, std = cell.published.get(metric, (None, None))
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
            ours, bits = float(np.mean(values)), rows[0].get("bits")
            given = (cell.name, cell.data, metric, mean, std, ours, spread, len(values), hours, bits)
            ensembles = [
                100 * row["test"]["ensemble"] for row in rows if metric == "sample" and "ensemble" in row["test"]
            ]
            yield Comparison(*given, *_costs(rows), _mean(ensembles))


def _costs(rows: Sequence[Row]) -> tuple[int | None, int | None, float | None, float | None]:
    """Parameters of the recurrent part and of all, and mean times; rows of older versions have only seconds."""
    steps = [row["step_us"] for row in rows if "step_us" in row]
    seconds = [row["seconds"] / row["epochs"] for row in rows if row.get("epochs")]
    sizes = (rows[0].get("recurrent_parameters"), rows[0].get("parameters"))
    return *sizes, _mean(seconds), _mean(steps)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _interval(mean: float, std: float | None) -> str:
    return f"{mean:.2f}" if std is None else f"{mean:.2f}±{std:.2f}"


def to_markdown(
    comparisons: Sequence[Comparison], *, title: str, columns: Sequence[str] = COLUMNS, note: str = ""
) -> str:
    """The table as Markdown, with how many cells reach the published figures and what it cost."""
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    lines += [f"| {' | '.join(comparison.texts(columns))} |" for comparison in comparisons]
    told = summary(comparisons, ensembles="ensemble" in columns)
    end = f"{note}\n\n{told}" if note else told
    return f"### {title}\n\n" + "\n".join(lines) + f"\n\n{end}\n"


def summary(comparisons: Sequence[Comparison], *, ensembles: bool = False) -> str:
    """How many figures are reached, if asked also by ensembles in place of single draws, and the core-hours."""
    judged = [comparison for comparison in comparisons if comparison.reached is not None]
    hours = {comparison.cell: comparison.core_hours for comparison in comparisons}
    end = f"{sum(hours.values()):.1f} core-hours."
    if not judged:
        return end
    reached = sum(bool(comparison.reached) for comparison in judged)
    text = f"{reached} of {len(judged)} figures at least the published mean less its deviation (0.5 at least)"
    if ensembles:
        text += f", {sum(bool(comparison.reached_by_ensemble) for comparison in judged)} with the ensemble of the draws"
    return f"{text}; {end}"
