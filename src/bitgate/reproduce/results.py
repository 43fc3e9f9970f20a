"""Results of trials: one line of JSON each, appended as they come."""

import fcntl
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitgate.errors import FormatError
from bitgate.reproduce.grid import Cell, Grid, Trial

Row = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """Rows of finished trials. A trial is known by its options and seed, so grids that share a cell share its rows."""

    rows: tuple[Row, ...]

    @classmethod
    def read(cls, grid: Grid) -> "Results":
        """Reads the results of a grid and of the grids beside it.

        Raises:
            FormatError: a line is damaged.
        """
        files = sorted(grid.path.parent.parent.glob("*/results/*.jsonl"))
        return cls(tuple(row for file in files for row in _read(file) if {"config", "trial", "test"} <= row.keys()))

    def of(self, cell: Cell) -> list[Row]:
        """Rows of a cell as the grid has it now, by trial."""
        rows = {row["trial"]: row for row in self.rows if row["config"] == cell.identity}
        return [rows[number] for number in sorted(rows)]

    def has(self, trial: Trial) -> bool:
        """Whether a trial is done."""
        return any(row["trial"] == trial.number for row in self.of(trial.cell))


def _read(path: Path) -> list[Row]:
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            rows.append(dict(json.loads(line)))
        except ValueError as error:
            raise FormatError(f"{path}, line {number}: no JSON ({error}); remove it to run it again") from error
    return rows


def append(path: Path, row: Row) -> bool:
    """Adds one row in a single write, unless the file has one of the same options and trial; tells whether it did.

    Several processes may append to one file: one that started before another finished the trial must not add it again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        key = (row.get("config"), row.get("trial"))
        if any((other.get("config"), other.get("trial")) == key for other in _read(path)):
            return False
        file.write(json.dumps(row) + "\n")
    return True
