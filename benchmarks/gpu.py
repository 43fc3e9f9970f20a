"""Parity and speed of the Triton kernels on a GPU: against the reference, and against cuDNN's nn.LSTM.

python benchmarks/gpu.py
python benchmarks/gpu.py --repeats 20 --shapes uci_har h512_b64_t128

Parity comes first, and a failure ends the run: no times of wrong numbers. Times are of one layer, forward and backward,
plain weights, in turn; the reference loop only where it has at most 128 steps. Needs an NVIDIA GPU and
``pip install 'bitgate[gpu]'``.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from train_step import ROOT, commit, write

from bitgate.cells import CELL_GATES, CellKind
from bitgate.ops import LayerParameters, Recurrence, recurrent, triton_status
from bitgate.ops.triton_launch import is_installed, is_interpreted

# Name: steps, sequences, features, units. The paper's first layers, then large ones.
SHAPES = {
    "mnist_strokes": (39, 64, 4, 64),
    "auslan": (56, 64, 22, 64),
    "uci_har": (128, 64, 9, 128),
    "epileptic": (178, 64, 1, 32),
} | {f"h{h}_b{b}_t{t}": (t, b, h, h) for h in (512, 1024) for b in (64, 512) for t in (128, 1024)}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
MOST_REFERENCE_STEPS = 128
PARITY = {"float32": 1e-5, "bfloat16": 1e-2}  # of the norm; bfloat16: more than the reference's own error in bfloat16
CASES: list[tuple[CellKind, tuple[int, ...]]] = [
    ("lstm", (0, 0, 0, 0)),
    ("coupled_lstm", (0, 0, 0)),
    ("coupled_lstm", (2, 3, 2)),
    ("gru", (0, 2, 4)),
]
SIZES = ((1, 1, 1, 1), (5, 3, 7, 35), (39, 64, 4, 64), (16, 19, 9, 128), (16, 33, 8, 200), (8, 64, 16, 512))


def main() -> None:
    args = parse_arguments()
    why_not = refusal()
    if why_not:
        sys.exit(f"benchmarks/gpu.py: {why_not}")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    errors = parity()
    rows = {f"{name} {dtype}": measure(name, dtype, args.repeats) for name in args.shapes for dtype in DTYPES}
    print_table(rows)
    document = {"device": torch.cuda.get_device_name(), "triton": triton_status(), "torch": torch.__version__}
    write(Path(args.out), document | {"commit": commit(), "worst_parity": errors, "rows": rows})


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--out", default=str(ROOT / "benchmarks/results/gpu.json"))
    return parser.parse_args()


def refusal() -> str | None:
    """Why nothing can be measured here, in one line."""
    if not torch.cuda.is_available():
        return "torch sees no GPU, so there is nothing to measure (parity on the CPU: pytest tests/ops/test_triton.py)"
    if not is_installed():
        return "Triton is not installed: pip install 'bitgate[gpu]'"
    return "unset TRITON_INTERPRET: an interpreter is not to be timed" if is_interpreted() else None


def make_tensors(cell: CellKind, size: tuple[int, int, int, int], dtype: torch.dtype) -> dict[str, Tensor]:
    """Inputs, states and parameters on the GPU, leaves that need gradients."""
    steps, batch, features, hidden = size
    rows = len(CELL_GATES[cell]) * hidden
    generator = torch.Generator().manual_seed(0)
    shapes = {"x": (steps, batch, features), "h": (batch, hidden), "c": (batch, hidden), "w_ih": (rows, features)}
    shapes |= {"w_hh": (rows, hidden), "bias_ih": (rows,), "bias_hh": (rows,)}
    if cell == "gru":
        del shapes["c"]
    gains = {"w_ih": features**-0.5, "w_hh": hidden**-0.5}
    found = {k: torch.randn(shape, generator=generator) * gains.get(k, 1.0) for k, shape in shapes.items()}
    return {k: v.to("cuda", dtype).requires_grad_() for k, v in found.items()}


def run(recurrence: Recurrence, t: dict[str, Tensor], backend: str, lengths: Tensor | None = None) -> dict[str, Tensor]:
    """Output and all gradients of its sum of squares."""
    params = LayerParameters(t["w_ih"], t["w_hh"], t["bias_ih"], t["bias_hh"])
    output = recurrent(recurrence, t["x"], t["h"], t.get("c"), params, lengths=lengths, backend=backend).output
    grads = torch.autograd.grad(output.float().square().sum(), list(t.values()))
    return {"output": output.detach(), **{f"gradient of {k}": g for k, g in zip(t, grads, strict=True)}}


def parity() -> dict[str, float]:
    """Largest error of every type relative to the norm, against the reference in float32; ends the run if too large."""
    worst = dict.fromkeys(DTYPES, 0.0)
    for cell, levels in CASES:
        for size in SIZES:
            for kind, dtype in DTYPES.items():
                if kind == "bfloat16" and any(levels):
                    continue  # a rounding may cross a threshold, and then nothing is near
                narrow = make_tensors(cell, size, dtype)
                wide = {k: v.detach().float().requires_grad_() for k, v in narrow.items()}
                lengths = torch.linspace(size[0], 1, size[1]).long()
                recurrence = Recurrence(cell, levels)
                found, exact = (run(recurrence, *o, lengths) for o in ((narrow, "triton"), (wide, "reference")))
                rounded = exact if kind == "float32" else run(recurrence, narrow, "reference", lengths)
                for name, value in exact.items():
                    error = relative(found[name], value)
                    worst[kind] = max(worst[kind], error)
                    if not error <= PARITY[kind] + relative(rounded[name], value):
                        sys.exit(f"parity: {cell} {levels} {size} {kind}: {name} is off by {error:.1e}")
    return worst


def relative(found: Tensor, expected: Tensor) -> float:
    """Norm of the error by that of the value."""
    return float((found.float() - expected).norm() / (expected.norm() + 1e-6))


def make_step(column: str, size: tuple[int, int, int, int], dtype: torch.dtype) -> Callable[[], Any]:
    """Forward and backward of one layer."""
    steps, batch, features, hidden = size
    if column == "cuDNN nn.LSTM":
        layer = nn.LSTM(features, hidden).to("cuda", dtype)
        layer.flatten_parameters()  # else cuDNN copies all weights to one block at every call
        x = torch.randn(steps, batch, features, device="cuda", dtype=dtype, requires_grad=True)
        wanted = [x, *layer.parameters()]
        return lambda: torch.autograd.grad(layer(x)[0].float().square().sum(), wanted)
    cell, levels, backend = COLUMNS[column]
    tensors = make_tensors(cell, size, dtype)
    return lambda: run(Recurrence(cell, levels), tensors, backend)


COLUMNS: dict[str, tuple[CellKind, tuple[int, ...], str]] = {
    "triton, lstm": ("lstm", (0, 0, 0, 0), "triton"),
    "triton, coupled": ("coupled_lstm", (0, 0, 0), "triton"),
    "triton, coupled, 2-level gates": ("coupled_lstm", (2, 2, 2), "triton"),
    "reference, coupled, 2-level gates": ("coupled_lstm", (2, 2, 2), "reference"),
}


def measure(name: str, dtype: str, repeats: int) -> dict[str, float]:
    """Median milliseconds of every column, by the GPU's clock."""
    size = SHAPES[name]
    columns = ["cuDNN nn.LSTM", *COLUMNS]
    if size[0] > MOST_REFERENCE_STEPS:
        columns = [c for c in columns if not c.startswith("reference")]
    steps = {column: make_step(column, size, DTYPES[dtype]) for column in columns}
    times: dict[str, list[float]] = {column: [] for column in columns}
    for step in steps.values():
        step()
        step()
    for _ in range(repeats):
        for column, step in steps.items():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            begin.record()
            step()
            end.record()
            torch.cuda.synchronize()
            times[column].append(begin.elapsed_time(end))
    return {column: statistics.median(found) for column, found in times.items()}


def print_table(rows: dict[str, dict[str, float]]) -> None:
    columns = ["cuDNN nn.LSTM", *COLUMNS]
    table = Table("", *columns, title="ms forward and backward of one layer, median; in brackets relative to cuDNN")
    for name, row in rows.items():
        plain = row[columns[0]]
        table.add_row(name, *(f"{row[c]:.2f} ({row[c] / plain:.2f})" if c in row else "-" for c in columns))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
