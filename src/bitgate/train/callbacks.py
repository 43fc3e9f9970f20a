"""What happens around the epochs: one progress bar over the whole run, early stopping, and metrics.csv."""

import csv
import io
import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import EarlyStopping
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

VALIDATION_COLUMNS = ("val_sample", "val_map", "val_perplexity", "entropy_bits")
COLUMNS = ("epoch", "train_loss", *VALIDATION_COLUMNS, "temperature", "learning_rate")


class EpochProgress(lightning.Callback):
    """One bar over all epochs, with the time that remains, on stderr."""

    def __init__(self, name: str) -> None:
        self.progress = Progress(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(bar_width=16),
            TimeRemainingColumn(),
            TextColumn("left"),
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
        names = {"train_loss": "loss", "val_sample": "sample", "val_map": "MAP", "val_perplexity": "perplexity"}
        shown = [f"{text} {float(metrics[k]):.3f}" for k, text in names.items() if k in metrics]
        self.progress.update(self.task, completed=trainer.current_epoch + 1, metrics=", ".join(shown))

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Takes the bar away, also after an error."""
        self.progress.stop()


class Patience(EarlyStopping):
    """Early stopping that also holds for a run killed after it had stopped: resumed, it does not train on."""

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stops at once where the checkpoint says that training has ended."""
        trainer.should_stop = self.stopped_epoch > 0


class Stopwatch(lightning.Callback):
    """Measures the seconds spent on whole epochs, over all sittings of a run."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = 0.0

    def state_dict(self) -> dict[str, Any]:
        """The seconds so far."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up the seconds of a checkpoint."""
        self.seconds = state_dict["seconds"]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Starts."""
        self._since = time.monotonic()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Adds the epoch."""
        now = time.monotonic()
        self.seconds += now - self._since
        self._since = now


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
        validated = (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
        metrics = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            # Lightning keeps the metrics of the last validation; an epoch without one has none.
            if name in COLUMNS and (validated or name not in VALIDATION_COLUMNS)
        }
        self.rows.append({"epoch": trainer.current_epoch, **metrics})
        columns = [name for name in COLUMNS if any(name in row for row in self.rows)]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" for k, v in row.items()} for row in self.rows)
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(text.getvalue())
        temporary.replace(self.path)
