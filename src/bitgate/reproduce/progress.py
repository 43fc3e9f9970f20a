"""Progress over a whole grid, in epochs, read from the files that the runs write."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bitgate.reproduce.grid import Grid, Trial


class GridProgress:
    """A bar for the grid with the time that remains, and one for each trial that runs, on stderr."""

    def __init__(self, grid: Grid, trials: Sequence[Trial], runs_dir: str, *, show: bool) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TextColumn("{task.completed:.0f}/{task.total:.0f} epochs"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=Console(stderr=True),
            redirect_stdout=False,
            disable=not show,
            # The speed of an epoch differs by trial: a long memory gives a steadier estimate.
            speed_estimate_period=3600,
        )
        self._files = {
            trial: Path(trial.config(runs_dir).runs_dir) / trial.config(runs_dir).run_name / "metrics.csv"
            for trial in trials
        }
        self._epochs = {trial: trial.config(runs_dir).epochs for trial in trials}
        self._total = self._bars.add_task(f"{grid.name}, {len(trials)} trials", total=sum(self._epochs.values()))
        self._running: dict[Trial, TaskID] = {}
        self._finished: set[Trial] = set()

    def __enter__(self) -> "GridProgress":
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def finish(self, trial: Trial) -> None:
        """Takes a finished trial's bar away."""
        self._finished.add(trial)
        if trial in self._running:
            self._bars.remove_task(self._running.pop(trial))

    def update(self) -> None:
        """Reads how far the runs are."""
        done = sum(self._epochs[trial] for trial in self._finished)
        for trial, file in self._files.items():
            if trial in self._finished or not file.is_file():
                continue
            epochs = max(len(file.read_text().splitlines()) - 1, 0)
            done += epochs
            if trial not in self._running:
                name = f"  {trial.cell.name}, trial {trial.number}"
                self._running[trial] = self._bars.add_task(name, total=self._epochs[trial])
            self._bars.update(self._running[trial], completed=epochs)
        self._bars.update(self._total, completed=done)
