"""Milliseconds of one training step (forward, backward, Adam) at the paper's shapes, every column in turn.

python benchmarks/train_step.py
python benchmarks/train_step.py --seconds 5 --out quick.json
python benchmarks/train_step.py --shapes uci_har epileptic --threads 2
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import bitgate.nn
from bitgate.ops import BACKEND_VARIABLE, simd_path
from bitgate.weights import Categorical, Quantized, Weights

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Shape:
    """Steps, features and units of each layer; ``batch`` sequences."""

    steps: int
    features: int
    hidden: tuple[int, ...]
    batch: int = 64


SHAPES = {
    "mnist_strokes": Shape(39, 4, (64, 32)),
    "auslan": Shape(56, 22, (64, 32)),
    "uci_har": Shape(128, 9, (128, 64)),
    "epileptic": Shape(178, 1, (32, 16)),
    "large": Shape(256, 512, (512,), 32),
}
PAPER = ["mnist_strokes", "auslan", "uci_har", "epileptic"]
# Our columns are the coupled cell, as in the paper: weights, levels of gates, backend.
COLUMNS: dict[str, tuple[Weights | str, dict[str, int], str] | None] = {
    "nn.LSTM": None,
    "ours, vendor, r-trick": (Categorical(), {}, "vendor"),
    "ours, native, r-trick": (Categorical(), {}, "native"),
    "ours, native, r-trick, 2-level gates": (Categorical(), {"i": 2, "g": 2, "o": 2}, "native"),
    "ours, native, QAT": (Quantized(), {}, "native"),
    "ours, native, plain": ("continuous", {}, "native"),
    "ours, native, lr-trick": (Categorical(trick="lr"), {}, "native"),
    "reference loop, r-trick": (Categorical(), {}, "reference"),
    "reference loop, lr-trick": (Categorical(trick="lr"), {}, "reference"),
}


def main() -> None:
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    rows = {name: measure(SHAPES[name], args.seconds) for name in args.shapes}
    print_table(rows)
    save(args, rows)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=PAPER)
    parser.add_argument("--seconds", type=float, default=20, help="for each shape, after warming up")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", default=str(ROOT / "benchmarks/results/train_step.json"))
    return parser.parse_args()


def make_step(shape: Shape, column: str) -> Callable[[], None]:
    """One training step of the whole stack on random data."""
    choice = COLUMNS[column]
    sizes = zip((shape.features, *shape.hidden), shape.hidden, strict=False)
    if choice is None:
        layers = nn.ModuleList(nn.LSTM(a, b) for a, b in sizes)
    else:
        weights, gates, _ = choice
        layers = nn.ModuleList(bitgate.nn.LSTM(a, b, coupled=True, weights=weights, gates=gates) for a, b in sizes)
    optimizer = torch.optim.Adam(layers.parameters(), lr=1e-3)
    x = torch.randn(shape.steps, shape.batch, shape.features)

    def step() -> None:
        os.environ[BACKEND_VARIABLE] = "auto" if choice is None else choice[2]
        output: Tensor = x
        for layer in layers:
            output = layer(output)[0]
        optimizer.zero_grad()
        output[-1].square().sum().backward()
        optimizer.step()

    return step


def measure(shape: Shape, seconds: float) -> dict[str, dict[str, float]]:
    """Median and quartiles of every column; columns take turns, so that all see the same machine."""
    steps = {column: make_step(shape, column) for column in COLUMNS}
    times: dict[str, list[float]] = {column: [] for column in COLUMNS}
    for step in steps.values():
        step()
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or len(times["nn.LSTM"]) < 5:
        for column, step in steps.items():
            start = time.perf_counter()
            step()
            times[column].append(1e3 * (time.perf_counter() - start))
    plain = statistics.median(times["nn.LSTM"])
    return {column: summary(found, plain) for column, found in times.items()}


def summary(times: list[float], plain: float) -> dict[str, float]:
    low, median, high = statistics.quantiles(times, n=4)
    return {"median_ms": median, "low_ms": low, "high_ms": high, "of_nn_lstm": median / plain, "n": len(times)}


def print_table(rows: dict[str, dict[str, dict[str, float]]]) -> None:
    table = Table("", *rows, title="ms a training step, median; in brackets relative to nn.LSTM")
    for column in COLUMNS:
        table.add_row(column, *(f"{r[column]['median_ms']:.1f} ({r[column]['of_nn_lstm']:.2f})" for r in rows.values()))
    Console(width=130).print(table)


def save(args: argparse.Namespace, rows: dict[str, dict[str, dict[str, float]]]) -> None:
    document = {
        "machine": {
            "cpu": cpu_model(),
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
            "simd_path": simd_path(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "threads": args.threads,
        },
        "commit": commit(),
        "shapes": {name: asdict(SHAPES[name]) for name in rows},
        "rows": rows,
    }
    path = Path(args.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def commit() -> str | None:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


if __name__ == "__main__":
    main()
