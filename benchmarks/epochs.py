"""Seconds of a whole training epoch through ``bitgate fit`` against the bare loop, and so the trainer's overhead.

python benchmarks/epochs.py
python benchmarks/epochs.py --data mnist-strokes --methods r lr --seconds 60

Both train the same model on the same batches with the same optimizer. Inside one run of ``fit`` the bare loop takes an
epoch of its own before each of the trainer's, so that both see the same machine; the overhead is the median over these
pairs. A trainer's epoch lasts from its start to that of the next, metrics and checkpoint included.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from train_step import ROOT, commit, machine, write

from bitgate.data import SequenceDataModule
from bitgate.train import FitConfig, build_model, fit, keep_freed_memory, load_run_dataset
from bitgate.train.module import ClassifierTraining


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["mnist-strokes", "auslan", "uci-har", "epileptic"])
    parser.add_argument("--methods", nargs="+", choices=["r", "lr", "qat"], default=["r", "lr", "qat"])
    parser.add_argument("--seconds", type=float, default=25, help="for each row, about; at least five pairs")
    parser.add_argument("--out", default=str(ROOT / "benchmarks/results/epochs.json"))
    args = parser.parse_args()
    rows = {
        f"{data} {method}": measure(data, method, args.seconds)
        for data, method in itertools.product(args.data, args.methods)
    }
    print_table(rows)
    write(Path(args.out), {"machine": machine(), "commit": commit(), "rows": rows})


def measure(data: str, method: Any, seconds: float) -> dict[str, float]:
    """Medians over pairs of an epoch of ``fit`` and one of the bare loop, and the overhead as a share."""
    with tempfile.TemporaryDirectory() as folder:
        loop = BareLoop(configuration(data, method, 1, folder))
        loop.epoch()  # what is loaded once
        pairs = max(5, round(seconds / 2 / loop.epoch()))
        pairing = Pairing(loop)
        fit(configuration(data, method, pairs + 2, folder), progress=False, callbacks=[pairing])
    fitted, bare = zip(*pairing.pairs[1:], strict=True)  # less the first, in which the trainer starts up
    shares = [f / b - 1 for f, b in zip(fitted, bare, strict=True)]
    low, middle, high = statistics.quantiles(shares, n=4)
    medians = {"fit_s": statistics.median(fitted), "bare_s": statistics.median(bare)}
    return medians | {"overhead": middle, "quartile_1": low, "quartile_3": high, "pairs": len(shares)}


def configuration(data: str, method: Any, epochs: int, runs_dir: str) -> FitConfig:
    """The layout of the paper for the data set; it is validated once, behind the last epoch, which is not measured."""
    sizes = {"uci-har": (128, 64), "epileptic": (32, 16)}.get(data, (64, 32))
    return FitConfig(
        data=data, method=method, hidden_sizes=sizes, epochs=epochs, validate_every=epochs, runs_dir=runs_dir, name="b"
    )


class BareLoop:
    """The same epochs with nothing around them."""

    def __init__(self, config: FitConfig) -> None:
        torch.set_num_threads(config.threads)
        torch.set_flush_denormal(True)
        keep_freed_memory()
        torch.manual_seed(config.seed)
        dataset = load_run_dataset(config)
        self.clip_norm = config.clip_norm
        self.model = build_model(config, dataset).train()
        loader = SequenceDataModule(dataset, batch_size=config.batch_size, seed=config.seed)
        loader.setup("fit")
        self.batches = loader.train_dataloader()
        found: Any = ClassifierTraining(self.model, config, len(dataset.train)).configure_optimizers()
        self.optimizer = found["optimizer"]
        self.n_epochs = 0

    def epoch(self) -> float:
        """Trains one epoch; returns its seconds."""
        start = time.perf_counter()
        self.batches.sampler.set_epoch(self.n_epochs)  # type: ignore[attr-defined]
        self.n_epochs += 1
        for x, lengths, labels in self.batches:
            self.optimizer.zero_grad()
            F.cross_entropy(self.model(x, lengths), labels).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
            self.optimizer.step()
        return time.perf_counter() - start


class Pairing(lightning.Callback):
    """Lets the bare loop take an epoch before each of the trainer's; pairs the seconds of both."""

    def __init__(self, loop: BareLoop) -> None:
        self.loop = loop
        self.pairs: list[tuple[float, float]] = []
        self._since: float | None = None
        self._bare = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Ends the trainer's epoch, checkpoint and all, and starts the next behind one of the bare loop."""
        if self._since is not None:
            self.pairs.append((time.perf_counter() - self._since, self._bare))
        self._bare = self.loop.epoch()
        self._since = time.perf_counter()


def print_table(rows: dict[str, dict[str, float]]) -> None:
    table = Table("", "fit, s", "bare loop, s", "overhead", title="one training epoch, one thread, medians")
    for name, row in rows.items():
        table.add_row(name, f"{row['fit_s']:.2f}", f"{row['bare_s']:.2f}", f"{row['overhead']:.1%}")
    Console().print(table)


if __name__ == "__main__":
    main()
