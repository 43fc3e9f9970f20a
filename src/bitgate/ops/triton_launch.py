"""How a problem is cut into programs of Triton, and the launches."""

import functools
import importlib
import importlib.util
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bitgate.cells import CELL_GATES, CellKind
from bitgate.gates import level_thresholds
from bitgate.gates.activation import TANH_GATES

INTERPRETER_VARIABLE = "TRITON_INTERPRET"
DTYPES = (torch.float32, torch.bfloat16)

_HELD_BYTES = (
    96 * 1024
)  # of recurrent weights that a program keeps; the rest of a multiprocessor's 228 kB is for states
_LARGEST_ALONE = 256  # units up to which one program runs all steps; above, a launch a step spreads them over programs
_TILE_UNITS, _TILE_DEPTH, _SMALLEST, _MOST_ROWS = 32, 32, 16, 32
_EDGES = 256  # as in triton_kernels/cell.py


def is_installed() -> bool:
    """Whether the package triton is there."""
    return importlib.util.find_spec("triton") is not None


def is_interpreted() -> bool:
    """Whether ``$TRITON_INTERPRET`` asks for Triton's interpreter, which runs on the CPU, slowly."""
    return os.environ.get(INTERPRETER_VARIABLE) == "1"


def triton_status() -> str:
    """What ``bitgate info`` tells: whether the Triton kernels can run, and why not."""
    if not is_installed():
        return "not installed: pip install 'bitgate[gpu]'"
    version = importlib.import_module("triton").__version__
    if is_interpreted():
        return f"triton {version}, interpreted on the CPU (${INTERPRETER_VARIABLE})"
    if not torch.cuda.is_available():
        return f"triton {version}, not used: torch sees no GPU"
    return f"triton {version} on {torch.cuda.get_device_name()}"


@dataclass(frozen=True)
class Plan:
    """Sizes of the programs: ``rows`` sequences; whether weights are held; else the units of a tile, and how many."""

    rows: int
    held: bool
    padded: int
    n_tiles: int  # tiles that one program runs through
    grid: tuple[int, int]
    steps_per_launch: int
    n_warps: int


def make_plan(batch: int, steps: int, hidden: int, n_gates: int, dtype: torch.dtype, *, may_hold: bool = True) -> Plan:
    """Weights on chip where they fit; one program for all units up to 256; above, a launch a step."""
    padded = max(_SMALLEST, 1 << (hidden - 1).bit_length())
    n_tiles = -(-hidden // _TILE_UNITS)
    if may_hold and n_gates * padded * padded * dtype.itemsize <= _HELD_BYTES:
        return Plan(_SMALLEST, True, padded, 1, (-(-batch // _SMALLEST), 1), steps, 4 if padded < 64 else 8)
    if hidden <= _LARGEST_ALONE:
        return Plan(_SMALLEST, False, padded, n_tiles, (-(-batch // _SMALLEST), 1), steps, 4)
    rows = min(_MOST_ROWS, max(_SMALLEST, 1 << (batch - 1).bit_length()))
    return Plan(rows, False, padded, 1, (-(-batch // rows), n_tiles), 1, 4)


@functools.lru_cache(maxsize=64)
def edges(cell: CellKind, levels: tuple[int, ...], device: torch.device) -> Tensor:
    """Thresholds ``(G, 256)`` of every gate."""
    found = torch.zeros(len(levels), _EDGES)
    for row, gate, count in zip(found, CELL_GATES[cell], levels, strict=True):
        if count:
            factor = 0.5 if gate in TANH_GATES else 1.0
            row[: count - 1] = torch.tensor([factor * t for t in level_thresholds(count)])
    return found.to(device)


@dataclass(frozen=True)
class Problem:
    """What both passes are given, contiguous; states float32."""

    cell: CellKind
    levels: tuple[int, ...]
    h_0: Tensor  # (B, H)
    c_0: Tensor  # (B, H); h_0 for a GRU, never read
    w_hh: Tensor  # (G * H, H)
    lengths: Tensor  # (B,) int32
    steps: int

    def plan(self, *, may_hold: bool = True) -> Plan:
        """How it is cut; without holding weights where a GPU has no room for them."""
        batch, hidden = self.h_0.shape
        return make_plan(batch, self.steps, hidden, len(self.levels), self.w_hh.dtype, may_hold=may_hold)

    def constants(self, plan: Plan) -> dict[str, Any]:
        """Compile-time arguments of every kernel."""
        # tf32x3 is three products on tensor cores for one of full precision.
        precision = "tf32" if torch.backends.cuda.matmul.allow_tf32 else "tf32x3"
        precision = "interpreted" if is_interpreted() else precision
        found = {"CELL": list(CELL_GATES).index(self.cell), "LEVELS": self.levels, "H": self.h_0.shape[1]}
        found |= {"BB": plan.rows, "PRECISION": precision, "num_warps": plan.n_warps, "enable_fp_fusion": True}
        if plan.held:
            return found | {"HP": plan.padded}
        return found | {"BU": _TILE_UNITS, "BK": _TILE_DEPTH, "N_TILES": plan.n_tiles}

    def edges(self) -> Tensor:
        """Thresholds of the gates."""
        return edges(self.cell, self.levels, self.h_0.device)


def _kernels() -> Any:
    return importlib.import_module("bitgate.ops.triton_kernels")


def _on_device_of(value: Tensor) -> AbstractContextManager[Any]:
    return torch.cuda.device(value.device) if value.is_cuda else nullcontext()


def _launch_held(kernel: Any, p: Problem, *arrays: Any, **constants: Any) -> bool:
    """Runs the kernel that holds the weights, where that is the plan and the GPU has the shared memory."""
    plan = p.plan()
    if not plan.held:
        return False
    try:
        kernel[plan.grid](*arrays, p.h_0.shape[0], **constants, **p.constants(plan))
    except importlib.import_module("triton").OutOfResources:
        return False
    return True


def launch_forward(
    p: Problem,
    preact: Tensor,
    bias_n: Tensor,
    output: Tensor,
    extra: Tensor,
    cells: Tensor,
    h_n: Tensor,
    c_n: Tensor,
    keep: bool,
) -> bool:
    """Fills output and c_n, which holds c_0 on entry. Arrays as in triton_kernels.

    Returns:
        Whether h_n was filled too; else it has to be gathered from output.
    """
    kernels, batch, common = _kernels(), p.h_0.shape[0], (preact, p.w_hh, bias_n, p.h_0)
    with _on_device_of(preact):
        held = (*common, p.c_0, p.edges(), p.lengths, output, extra, cells, h_n, c_n)
        if _launch_held(kernels.forward_held, p, *held, KEEP=keep):
            return True
        plan = p.plan(may_hold=False)
        arrays = (*common, p.edges(), p.lengths, output, extra, cells, c_n)
        for begin in range(0, p.steps, plan.steps_per_launch):
            end = begin + plan.steps_per_launch
            kernels.forward_tiles[plan.grid](*arrays, begin, end, batch, KEEP=keep, **p.constants(plan))
    return False


def launch_backward(
    p: Problem,
    kept: tuple[Tensor, Tensor, Tensor, Tensor],
    grad_output: Tensor,
    grad_preact: Tensor,
    grad_extra: Tensor,
    grad_h: Tensor,
    grad_c: Tensor,
) -> bool:
    """Fills grad_preact and grad_extra from ``kept`` preact, extra, cells, output; the others change in place.

    Returns:
        Whether grad_h is complete; else the products of the first step's gradients are missing.
    """
    kernels, batch = _kernels(), p.h_0.shape[0]
    arrays = (*kept, p.h_0, p.c_0, p.w_hh, p.edges(), p.lengths, grad_output, grad_preact, grad_extra, grad_h, grad_c)
    with _on_device_of(grad_h):
        if _launch_held(kernels.backward_held, p, *arrays):
            return True
        plan = p.plan(may_hold=False)
        for end in range(p.steps, 0, -plan.steps_per_launch):
            begin = end - plan.steps_per_launch
            kernels.backward_tiles[plan.grid](*arrays, begin, end, p.steps, batch, **p.constants(plan))
    return False
