"""Results of trials: one line of JSON each, appended as they come."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitgate.errors import FormatError
from bitgate.reproduce.grid import Cell, Grid, Trial

Row = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """The rows of one results file."""

    rows: tuple[Row, ...]

    @classmethod
    def read(cls, grid: Grid) -> "Results":
        """Reads a grid's results; none where there is no file yet.

        Raises:
            FormatError: a line is damaged.
        """
        path, rows = grid.results_file, []
        lines = path.read_text().splitlines() if path.is_file() else []
        for number, line in enumerate(lines, 1):
            try:
                rows.append(dict(json.loads(line)))
            except ValueError as error:
                raise FormatError(
                    f"{path}, line {number}: no JSON ({error}); remove the line to run it again"
                ) from error
        return cls(tuple(rows))

    def of(self, cell: Cell) -> list[Row]:
        """Rows of a cell as the grid has it now, by trial."""
        rows = {row["trial"]: row for row in self.rows if row["cell"] == cell.name and row["config"] == cell.identity}
        return [rows[number] for number in sorted(rows)]

    def has(self, trial: Trial) -> bool:
        """Whether a trial is done."""
        return any(row["trial"] == trial.number for row in self.of(trial.cell))


def append(path: Path, row: Row) -> None:
    """Adds one row in a single write, so that several processes may append to one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
