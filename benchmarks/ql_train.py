"""Milliseconds of one training step (forward, backward, Adam) of a QL-LSTM layer beside nn.LSTM and our own LSTM.

python benchmarks/ql_train.py                      H = I = 512, T = 512, batch 32, one thread
python benchmarks/ql_train.py --seconds 3 --steps 64 --out quick.json

Columns take turns, so that all see the same machine; a column's ratio is the median of its ratios to nn.LSTM of the
same turn. The layer's input needs its gradient too, as behind an embedding. Beforehand every column of ours is compared
with the reference loop on a short sequence, and a wrong kernel is not timed.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from train_step import ROOT, commit, machine, write

from bitgate.nn import LSTM, QLLSTM
from bitgate.ops import BACKEND_VARIABLE

Make = Callable[[int], nn.Module]
COLUMNS: dict[str, Make] = {
    "nn.LSTM": lambda size: nn.LSTM(size, size),
    "ours, LSTM": lambda size: LSTM(size, size),
    "ours, QL-LSTM psug2, block skip": lambda size: QLLSTM(size, size),
    "ours, QL-LSTM psug2, no skip": lambda size: QLLSTM(size, size, skip=None),
    "ours, QL-LSTM psug2, step skip": lambda size: QLLSTM(size, size, skip="step"),
    "ours, QL-LSTM psug1, block skip": lambda size: QLLSTM(size, size, sharing="psug1"),
    "ours, QL-LSTM psug2 coupled, block skip": lambda size: QLLSTM(size, size, coupled=True),
    "ours, ternary QL-LSTM psug2, block skip": lambda size: QLLSTM(size, size, weights="ternary"),
}
PLAIN = "nn.LSTM"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--steps", type=int, default=512)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=240, help="altogether, after warming up")
    parser.add_argument("--columns", nargs="+", choices=list(COLUMNS), default=list(COLUMNS))
    parser.add_argument("--out", default=str(ROOT / "benchmarks/results/ql_train.json"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    names = [PLAIN, *(name for name in args.columns if name != PLAIN)]
    for name in names[1:]:
        check(COLUMNS[name])
    rows = measure({name: make_step(COLUMNS[name], args) for name in names}, args.seconds)
    shape = {key: getattr(args, key) for key in ("hidden", "steps", "batch", "threads")}
    print_table(rows, shape)
    write(Path(args.out), {"machine": machine(), "commit": commit(), "shape": shape, "rows": rows})


def check(make: Make) -> None:
    """Outputs and gradients of the kernel against the reference loop."""
    torch.manual_seed(0)
    module = make(24).double()
    found = []
    for backend in ("native", "reference"):
        os.environ[BACKEND_VARIABLE] = backend
        torch.manual_seed(1)
        x = torch.randn(37, 3, 24, dtype=torch.float64, requires_grad=True)
        output = module(x)[0]
        found.append([output, *torch.autograd.grad(output.square().sum(), [x, *module.parameters()])])
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


def make_step(make: Make, args: argparse.Namespace) -> Callable[[], None]:
    """One training step on random data, on the native kernel where the module is ours."""
    torch.manual_seed(0)
    module = make(args.hidden)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    x = torch.randn(args.steps, args.batch, args.hidden, requires_grad=True)

    def step() -> None:
        os.environ[BACKEND_VARIABLE] = "native"
        x.grad = None
        optimizer.zero_grad()
        module(x)[0][-1].square().sum().backward()
        optimizer.step()

    return step


def measure(steps: dict[str, Callable[[], None]], seconds: float) -> dict[str, dict[str, Any]]:
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or len(times[PLAIN]) < 3:
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: summary(found, times[PLAIN]) for name, found in times.items()}


def summary(times: list[float], plain: list[float]) -> dict[str, Any]:
    """Median and quartiles of the times and of the turn by turn ratios to nn.LSTM."""
    low, median, high = statistics.quantiles(times, n=4)
    ratios = statistics.quantiles([a / b for a, b in zip(times, plain, strict=True)], n=4)
    quartiles = dict(zip(("ratio_low", "of_nn_lstm", "ratio_high"), ratios, strict=True))
    return {"median_ms": median, "low_ms": low, "high_ms": high, **quartiles, "least_ms": min(times), "n": len(times)}


def print_table(rows: dict[str, dict[str, Any]], shape: dict[str, int]) -> None:
    title = ", ".join(f"{key} {value}" for key, value in shape.items())
    table = Table("", "ms a step", "of nn.LSTM", "quartiles", title=title)
    for name, row in rows.items():
        spread = f"{row['ratio_low']:.2f} to {row['ratio_high']:.2f}"
        table.add_row(name, f"{row['median_ms']:.0f}", f"{row['of_nn_lstm']:.2f}", spread)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
