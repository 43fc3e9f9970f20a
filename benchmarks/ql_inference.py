"""Microseconds of a step of one sequence (batch 1) of a ternary QL-LSTM layer beside our own LSTM of the size.

python benchmarks/ql_inference.py
python benchmarks/ql_inference.py --hidden 64 256 512 --seconds 2

Both run in `bitgate.runtime.Session`, 8-bit states, as many inputs as units, turn by turn.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from train_step import ROOT, commit, machine, write

import bitgate
from bitgate import nn
from bitgate.runtime import Session

STEPS = 200
COLUMNS = {
    "LSTM": lambda size: nn.LSTM(size, size, weights="ternary"),
    "psug2, block skip": lambda size: nn.QLLSTM(size, size, weights="ternary"),
    "psug2, no skip": lambda size: nn.QLLSTM(size, size, weights="ternary", skip=None),
    "psug1, block skip": lambda size: nn.QLLSTM(size, size, weights="ternary", sharing="psug1"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, nargs="+", default=[64, 256, 512])
    parser.add_argument("--seconds", type=float, default=5, help="for each size")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/ql_inference.json")
    args = parser.parse_args()
    rows = {size: measure(size, args.seconds) for size in args.hidden}
    table = Table("", *(f"{size} units" for size in rows), title="us a step, batch 1; in brackets of our LSTM's")
    for name in COLUMNS:
        table.add_row(name, *(f"{row[name]['us']:.2f} ({row[name]['of_lstm']:.2f})" for row in rows.values()))
    Console().print(table)
    write(args.out, {"machine": machine(), "commit": commit(), "steps": STEPS, "rows": rows})


def measure(size: int, seconds: float) -> dict[str, dict[str, float]]:
    """Medians over rounds in which each column makes 200 steps."""
    torch.manual_seed(0)
    x = np.random.default_rng(0).standard_normal((STEPS, size), dtype=np.float32)
    sessions = {name: Session(bitgate.freeze(make(size), state_bits=8)) for name, make in COLUMNS.items()}
    outputs = {name: np.empty(size, np.int16) for name in COLUMNS}
    times: dict[str, list[float]] = {name: [] for name in COLUMNS}
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        for name, session in sessions.items():
            start = time.perf_counter()
            for features in x:
                session.step(features, out=outputs[name])
            times[name].append((time.perf_counter() - start) / STEPS * 1e6)
    medians = {name: statistics.median(found) for name, found in times.items()}
    return {name: {"us": us, "of_lstm": us / medians["LSTM"], "n": len(times[name])} for name, us in medians.items()}


if __name__ == "__main__":
    main()
