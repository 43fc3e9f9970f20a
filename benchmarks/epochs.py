"""Seconds of a whole training epoch through ``bitgate fit`` against the bare loop, and so the trainer's overhead.

python benchmarks/epochs.py
python benchmarks/epochs.py --data mnist-strokes --methods r lr --rounds 5

Both train the same model on the same batches with the same optimizer. An epoch of ``fit`` is the difference between a
long and a short run, divided by the epochs that lie between: both start up, validate and test once. The bare loop gets
its batches from the same loader. Rounds alternate, so that both see the same machine.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

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
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2, help="between the short and the long run")
    parser.add_argument("--out", default=str(ROOT / "benchmarks/results/epochs.json"))
    args = parser.parse_args()
    rows = {
        f"{data} {method}": measure(data, method, args.rounds, args.epochs)
        for data, method in itertools.product(args.data, args.methods)
    }
    print_table(rows)
    write(Path(args.out), {"machine": machine(), "commit": commit(), "rows": rows})


def measure(data: str, method: Any, rounds: int, epochs: int) -> dict[str, float]:
    """Medians of an epoch's seconds, and the overhead of ``fit`` over the bare loop as a share."""
    fit_seconds(data, method, 1)  # what is loaded once
    fitted, bare = [], []
    for _ in range(rounds):
        short, long = (fit_seconds(data, method, n) for n in (1, 1 + epochs))
        fitted.append((long - short) / epochs)
        bare.append(bare_seconds(data, method, epochs) / epochs)
    a, b = statistics.median(fitted), statistics.median(bare)
    shares = [f / g - 1 for f, g in zip(fitted, bare, strict=True)]
    return {"fit_s": a, "bare_s": b, "overhead": a / b - 1, "least": min(shares), "most": max(shares), "n": rounds}


def configuration(data: str, method: Any, epochs: int, runs_dir: str) -> FitConfig:
    """The layout of the paper for the data set; it is validated once, behind the last epoch."""
    sizes = {"uci-har": (128, 64), "epileptic": (32, 16)}.get(data, (64, 32))
    return FitConfig(
        data=data, method=method, hidden_sizes=sizes, epochs=epochs, validate_every=epochs, runs_dir=runs_dir, name="b"
    )


def fit_seconds(data: str, method: Any, epochs: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        config = configuration(data, method, epochs, folder)
        start = time.perf_counter()
        fit(config, progress=False)
        return time.perf_counter() - start


def bare_seconds(data: str, method: Any, epochs: int) -> float:
    """The same epochs with nothing around them."""
    config = configuration(data, method, epochs, "")
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)
    keep_freed_memory()
    torch.manual_seed(config.seed)
    dataset = load_run_dataset(config)
    model = build_model(config, dataset).train()
    loader = SequenceDataModule(dataset, batch_size=config.batch_size, seed=config.seed)
    loader.setup("fit")
    batches = loader.train_dataloader()
    found: Any = ClassifierTraining(model, config, len(dataset.train)).configure_optimizers()
    optimizer = found["optimizer"]
    start = time.perf_counter()
    for epoch in range(epochs):
        batches.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        for x, lengths, labels in batches:
            optimizer.zero_grad()
            F.cross_entropy(model(x, lengths), labels).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimizer.step()
    return time.perf_counter() - start


def print_table(rows: dict[str, dict[str, float]]) -> None:
    table = Table("", "fit, s", "bare loop, s", "overhead", title="one training epoch, one thread, medians")
    for name, row in rows.items():
        table.add_row(name, f"{row['fit_s']:.2f}", f"{row['bare_s']:.2f}", f"{row['overhead']:.1%}")
    Console().print(table)


if __name__ == "__main__":
    main()
