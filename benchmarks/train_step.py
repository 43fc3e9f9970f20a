"""Milliseconds and memory of one training step (forward, backward, Adam) at the paper's shapes, every column in turn.

python benchmarks/train_step.py --threads 1 2
python benchmarks/train_step.py --seconds 5 --out quick.json
python benchmarks/train_step.py --shapes uci_har epileptic

Every column has the optimizer (torch's fused Adam) and the setting of the heap that ``bitgate fit`` has.
The FLOP floor is the time that the matrix products of the coupled cell would take at the speed of one large product of
torch. Peak memory is what a step adds to the process, each column in a process of its own (Linux only).
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import bitgate.nn
from bitgate.ops import BACKEND_VARIABLE, simd_path
from bitgate.train import keep_freed_memory
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
    torch.set_flush_denormal(True)
    keep_freed_memory()
    found = {}
    for threads in args.threads:
        torch.set_num_threads(threads)
        rows = {name: measure(SHAPES[name], args.seconds) for name in args.shapes}
        print_table(rows, threads)
        found[threads] = rows
    document = {
        "machine": machine(),
        "commit": commit(),
        "shapes": {name: asdict(SHAPES[name]) for name in args.shapes},
        "threads": found,
        "peak_mib": {name: peaks(name) for name in args.shapes},
    }
    write(Path(args.out), document)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--seconds", type=float, default=20, help="for each shape, after warming up")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
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
    optimizer = torch.optim.Adam(layers.parameters(), lr=1e-3, fused=True)
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


FLOOR = "FLOP floor"


def flops(shape: Shape) -> int:
    """Of the coupled cell's matrix products: forward, gradients of weights, and of what needs one."""
    total = 0
    for layer, (inputs, hidden) in enumerate(zip((shape.features, *shape.hidden), shape.hidden, strict=False)):
        forward = 2 * 3 * hidden * (inputs + hidden)
        total += 3 * forward - (2 * 3 * hidden * inputs if layer == 0 else 0)
    return total * shape.steps * shape.batch


def make_product() -> Callable[[], None]:
    """A product of two large matrices, the fastest arithmetic at hand."""
    a, b = torch.randn(2, 768, 768)

    def multiply() -> None:
        torch.mm(a, b)

    return multiply


def measure(shape: Shape, seconds: float) -> dict[str, dict[str, float]]:
    """Median and quartiles of every column; columns take turns, so that all see the same machine."""
    steps = {column: make_step(shape, column) for column in COLUMNS} | {FLOOR: make_product()}
    times: dict[str, list[float]] = {column: [] for column in steps}
    for step in steps.values():
        step()
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or len(times["nn.LSTM"]) < 5:
        for column, step in steps.items():
            start = time.perf_counter()
            step()
            times[column].append(1e3 * (time.perf_counter() - start))
    plain = statistics.median(times["nn.LSTM"])
    times[FLOOR] = [t * flops(shape) / (2 * 768**3) for t in times[FLOOR]]
    return {column: summary(found, plain) for column, found in times.items()}


def summary(times: list[float], plain: float) -> dict[str, float]:
    low, median, high = statistics.quantiles(times, n=4)
    return {"median_ms": median, "low_ms": low, "high_ms": high, "of_nn_lstm": median / plain, "n": len(times)}


def peaks(shape: str) -> dict[str, float | None]:
    """MiB that one step of each column adds to a fresh process."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        return {column: pool.submit(peak_mib, shape, column).result() for column in COLUMNS}


def peak_mib(name: str, column: str) -> float | None:
    """Peak of this process's memory over two steps, less what it held before; None off Linux."""
    marks = Path("/proc/self/clear_refs")
    if not marks.exists():
        return None
    torch.set_num_threads(1)
    shape = SHAPES[name]
    make_step(Shape(1, shape.features, shape.hidden, 1), column)()  # loads what the first step loads
    step = make_step(shape, column)
    before = resident_kib("VmRSS")
    marks.write_text("5")  # sets the peak back
    step()
    step()
    return round((resident_kib("VmHWM") - before) / 1024, 1)


def resident_kib(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def print_table(rows: dict[str, dict[str, dict[str, float]]], threads: int) -> None:
    title = f"ms a training step on {threads} thread(s), median; in brackets relative to nn.LSTM"
    table = Table("", *rows, title=title)
    for column in (*COLUMNS, FLOOR):
        table.add_row(column, *(f"{r[column]['median_ms']:.1f} ({r[column]['of_nn_lstm']:.2f})" for r in rows.values()))
    Console(width=130).print(table)


def machine() -> dict[str, Any]:
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "simd_path": simd_path(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def write(path: Path, document: dict[str, Any]) -> None:
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
