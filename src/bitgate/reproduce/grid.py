"""A grid: the cells of a published table or figure, each a training configuration with the figures to compare with."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from bitgate.errors import ArgumentError, FormatError
from bitgate.train import FitConfig

Published = Mapping[str, tuple[float, float | None]]
"""By metric (sample, map): mean and, if it is known, standard deviation of the test accuracy, in %."""

COLUMNS = ("cell", "metric", "published", "ours", "diff.", "overlap", "trials")
COST_COLUMNS = ("bits", "recurrent", "parameters", "s/epoch", "µs/step")
"""Bits as the paper counts them, parameters of the recurrent part and of all, and measured times."""
OTHER_COLUMNS = ("claimed", "ensemble", *COST_COLUMNS)
"""Columns that a table may have beside ``COLUMNS``. "claimed" is "published" where figures are no more than that,
"ensemble" the accuracy of the mean prediction of the networks whose own mean accuracy is the sample metric."""

# What says where a run is kept and how it is executed, but not what it computes.
_NOT_IDENTITY = ("name", "runs_dir", "data_dir", "seed", "accelerator", "devices", "threads")


@dataclass(frozen=True)
class Cell:
    """One cell: a name that is unique in its grid, options over the defaults of ``FitConfig``, published figures."""

    name: str
    options: Mapping[str, Any]
    published: Published

    @property
    def data(self) -> str:
        """Name of the data set."""
        return str(self.options["data"])

    @property
    def identity(self) -> str:
        """Hash of the options that differ from the defaults: results of other options are of another experiment."""
        config, default = FitConfig(**self.options), FitConfig()
        changed = {
            field.name: getattr(config, field.name)
            for field in dataclasses.fields(config)
            if field.name not in _NOT_IDENTITY and getattr(config, field.name) != getattr(default, field.name)
        }
        return hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True, eq=False)
class Trial:
    """One cell with one seed. Trial n has seed n - 1."""

    cell: Cell
    number: int

    @property
    def seed(self) -> int:
        """Seed of initial weights, batches and noise."""
        return self.number - 1

    def config(self, runs_dir: str, data_dir: str | None = None) -> FitConfig:
        """The training run; its folder's name carries the identity, so that changed options start afresh."""
        name = f"{self.cell.name}-{self.cell.identity[:6]}-seed{self.seed}"
        return FitConfig(**self.cell.options, seed=self.seed, name=name, runs_dir=runs_dir, data_dir=data_dir)


@dataclass(frozen=True)
class Grid:
    """All cells of a table or figure, and how many trials of each."""

    name: str
    title: str
    trials: int
    cells: tuple[Cell, ...]
    path: Path
    figure: Literal["table", "gates", "temperature", "entropy", "bits"] = "table"
    columns: tuple[str, ...] = COLUMNS
    note: str = ""

    @property
    def results_file(self) -> Path:
        """Where a row per finished trial is appended: results/NAME.jsonl beside the grid."""
        return self.path.parent / "results" / f"{self.path.stem}.jsonl"

    def only(self, data: Iterable[str] = (), names: Iterable[str] = ()) -> "Grid":
        """The cells of some data sets, and of some names; a text that is no name stands for all names that contain it.

        Raises:
            ArgumentError: no cell has such a data set or name.
        """
        data, names = list(data), list(names)
        known = {cell.data for cell in self.cells}
        if unknown := set(data) - known:
            raise ArgumentError(f"dataset: {min(unknown)!r}, expected one of {', '.join(sorted(known))}")
        whole = {cell.name for cell in self.cells}
        cells = tuple(
            cell
            for cell in self.cells
            if (not data or cell.data in data)
            and (not names or any(text == cell.name if text in whole else text in cell.name for text in names))
        )
        if not cells:
            raise ArgumentError(f"cell: {', '.join(names) or 'any'}, expected part of one of {self.cell_names()}")
        return dataclasses.replace(self, cells=cells)

    def with_trials(self, trials: int | None) -> "Grid":
        """The grid with another number of trials, if one is given.

        Raises:
            ArgumentError: not positive.
        """
        if trials is not None and trials < 1:
            raise ArgumentError(f"trials: {trials}, expected 1 or more")
        return self if trials is None else dataclasses.replace(self, trials=trials)

    def cell_names(self) -> str:
        """The names of the cells, for messages."""
        return ", ".join(cell.name for cell in self.cells)

    def schedule(self) -> list[Trial]:
        """The first trial of every cell, then the second of every cell, ..."""
        return [Trial(cell, number) for number in range(1, self.trials + 1) for cell in self.cells]


def find_grids(folder: Path) -> dict[str, Path]:
    """Grids below a folder of experiments, by name such as ``dlstm/table1``."""
    files = sorted(folder.glob("*/*.yaml"))
    return {f"{path.parent.name}/{path.stem}": path for path in files}


def load_grid(path: Path) -> Grid:
    """Reads a grid.

    The file has ``title``, ``trials``, maybe ``figure``, ``columns`` and a ``note`` under the table, maybe ``options``
    (a list of ``{when: {...}, set: {...}}``; a rule without ``when`` is for all cells, later rules override earlier
    ones) and ``cells``: each a mapping of options with a ``name`` and maybe ``published``. ``options_of: table1`` puts
    the rules of ``table1.yaml``, in the same folder, before its own, so that equal cells are the same experiment.

    Raises:
        FormatError: the file is no grid, an option does not exist, or two cells share a name.
    """
    try:
        text = yaml.safe_load(path.read_text())
        rules = [*_rules_of(path.parent, text.get("options_of")), *text.get("options", [])]
        cells = tuple(_cell(entry, rules) for entry in text["cells"])
        figure = text.get("figure", "table")
        if figure not in (kinds := get_args(Grid.__annotations__["figure"])):
            raise ArgumentError(f"figure: {figure!r}, expected one of {', '.join(kinds)}")
        columns = tuple(text.get("columns", COLUMNS))
        if unknown := set(columns) - {*COLUMNS, *OTHER_COLUMNS}:
            raise ArgumentError(f"columns: {min(unknown)!r}, expected one of {', '.join((*COLUMNS, *OTHER_COLUMNS))}")
        name, note = f"{path.parent.name}/{path.stem}", str(text.get("note", "")).strip()
        grid = Grid(name, text["title"], int(text["trials"]), cells, path, figure, columns, note)
        names = [cell.name for cell in cells]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ArgumentError(f"cells: {', '.join(sorted(repeated))} given twice")
        for trial in (Trial(cell, 1) for cell in cells):
            trial.config("runs")
    except (ArgumentError, KeyError, TypeError, AttributeError, ValueError, yaml.YAMLError) as error:
        raise FormatError(f"{path}: no valid grid: {error!s}") from error
    return grid


def _rules_of(folder: Path, name: str | None) -> list[Mapping[str, Any]]:
    """The rules of another grid in the same folder; none where no name is given."""
    if name is None:
        return []
    path = folder / f"{name}.yaml"
    if not path.is_file():
        raise ArgumentError(f"options_of: {name!r}, but there is no {path.name} beside this grid")
    return list(yaml.safe_load(path.read_text()).get("options", []))


def _cell(entry: Mapping[str, Any], rules: Iterable[Mapping[str, Any]]) -> Cell:
    own = {key: value for key, value in entry.items() if key not in ("name", "published")}
    options: dict[str, Any] = {}
    for rule in rules:
        if all(own.get(key) == value for key, value in rule.get("when", {}).items()):
            options |= rule["set"]
    options |= own
    options |= {key: tuple(options[key]) for key in ("hidden_sizes", "prior") if key in options}
    published = {metric: _figure(*values) for metric, values in entry.get("published", {}).items()}
    return Cell(str(entry["name"]), options, published)


def _figure(mean: float, std: float | None = None) -> tuple[float, float | None]:
    return float(mean), None if std is None else float(std)
