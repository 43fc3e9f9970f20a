"""What happens around the epochs: one progress bar over the whole run, and metrics.csv."""

import csv
import io
from pathlib import Path
from typing import Any

import lightning
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

COLUMNS = ("epoch", "train_loss", "val_sample", "val_map", "entropy_bits", "temperature", "learning_rate")


class EpochProgress(lightning.Callback):
    """One bar over all epochs, with the time that remains, on stderr."""

    def __init__(self, name: str) -> None:
        self.progress = Progress(
            TextColumn(name),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=Console(stderr=True),
            redirect_stdout=False,
        )
        self.task = self.progress.add_task(name, metrics="")

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Shows the bar."""
        self.progress.update(self.task, total=trainer.max_epochs, completed=trainer.current_epoch)
        self.progress.start()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Advances the bar and tells the newest metrics."""
        metrics = trainer.callback_metrics
        shown = [f"{k} {float(metrics[k]):.4g}" for k in ("train_loss", "val_sample", "val_map") if k in metrics]
        self.progress.update(self.task, completed=trainer.current_epoch + 1, metrics=", ".join(shown))

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Takes the bar away, also after an error."""
        self.progress.stop()


class MetricsFile(lightning.Callback):
    """Writes metrics.csv, a row per epoch. Its rows live in the checkpoint, so a resumed run continues the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Adds a row and rewrites the file under a temporary name."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name in COLUMNS}
        self.rows.append({"epoch": trainer.current_epoch, **metrics})
        columns = [name for name in COLUMNS if any(name in row for row in self.rows)]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" for k, v in row.items()} for row in self.rows)
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(text.getvalue())
        temporary.replace(self.path)
