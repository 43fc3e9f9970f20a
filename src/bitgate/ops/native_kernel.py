"""The C training kernels (``csrc``): which path of the processor they take, and checked calls into them."""

import importlib
import os
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from bitgate.cells import CELL_GATES
from bitgate.errors import ArgumentError, ShapeError
from bitgate.gates import level_thresholds
from bitgate.gates.activation import TANH_GATES
from bitgate.ops.problem import Recurrence, Skip

SIMD_VARIABLE = "BITGATE_SIMD"
SIMD_PATHS = ("portable", "avx2", "avx512")
DTYPES = (torch.float32, torch.float64)

_LINE_BYTES = 64  # units are padded to whole lines, so that every path reads whole vectors
_MAX_GATES = 4
_INTEGERS = ("lengths", "position")
_FLOPS_PER_THREAD = 4_000_000  # below about 0.1 ms a thread costs more than it saves


def _load() -> Any:
    try:
        return importlib.import_module("bitgate._train")
    except ImportError:
        return None


extension: Any = _load()
"""The module bitgate._train, None where it was not built."""


def simd_path() -> str:
    """The instruction set that the kernels use: ``$BITGATE_SIMD``, else the widest one this processor has.

    Raises:
        ArgumentError: an unknown name, or a path that this processor lacks.
    """
    return SIMD_PATHS[_path(os.environ.get(SIMD_VARIABLE), extension)]


@cache
def _path(wanted: str | None, kernels: Any) -> int:
    supported = [path for number, path in enumerate(SIMD_PATHS) if kernels.supports(number)]
    found = wanted or supported[-1]
    if found not in supported:
        known = "this processor runs" if found in SIMD_PATHS else "expected one of"
        raise ArgumentError(f"{SIMD_VARIABLE}: {found!r}, {known} {', '.join(supported)}")
    return SIMD_PATHS.index(found)


def training_kernel_status() -> str:
    """What ``bitgate info`` tells: the path of the training kernels, or why there are none."""
    if extension is None:
        return "not built: reinstall bitgate with a C compiler (gcc or clang)"
    return f"built, path {simd_path()} (${SIMD_VARIABLE} forces another)"


def runs_on(array: Tensor) -> bool:
    """Whether there are kernels for the type and device of an array."""
    return extension is not None and array.dtype in DTYPES and array.device.type == "cpu"


def options(dtype: torch.dtype) -> tuple[int, bool]:
    """The first arguments of every kernel: the path and whether elements are doubles."""
    return _path(os.environ.get(SIMD_VARIABLE), extension), dtype == torch.float64


def padded_size(hidden: int, dtype: torch.dtype) -> int:
    """``hidden`` rounded up to whole lines of memory."""
    line = _LINE_BYTES // dtype.itemsize
    return -(-hidden // line) * line


def encode_skip(skip: Skip | None) -> list[int]:
    """Kind and block size of a skip as csrc/bg_train.h numbers them."""
    if skip is None:
        return [0, 0]
    return [1, skip.block_size] if skip.kind == "block" else [2 if skip.is_bounded else 3, 0]


def decode(
    cell: str, levels: Sequence[int], sharing: Sequence[int], skip: Sequence[int], state_bits: int = 0
) -> Recurrence:
    """The recurrence that an operator's arguments mean: ``sharing`` may be empty, ``skip`` is of ``encode_skip``."""
    return _decode(cell, tuple(levels), tuple(sharing), tuple(skip), state_bits)


@cache
def _decode(
    cell: str, levels: tuple[int, ...], sharing: tuple[int, ...], skip: tuple[int, int], state_bits: int
) -> Recurrence:
    kind, block_size = skip
    skips = (None, Skip("block", block_size), Skip("step"), Skip("step", is_bounded=False))
    return Recurrence(cell, levels, sharing or None, skips[kind], state_bits or None)  # type: ignore[arg-type]


def _fill(values: Sequence[int]) -> tuple[int, ...]:
    return (*values, *[0] * _MAX_GATES)[:_MAX_GATES]


class Call:
    """Arguments of one call: keeps what it points to alive, checks every array against its shape."""

    def __init__(self, kind: Recurrence, x: Tensor, hidden: int) -> None:
        if x.dtype not in DTYPES or x.device.type != "cpu":
            raise ShapeError(f"x: expected float32 or float64 on the CPU, got {x.dtype} on {x.device}")
        self.kind, self.dtype = kind, x.dtype
        self.steps, self.batch, self.inputs = x.shape
        self._state_unit = 2.0 ** (kind.state_bits - 1) if kind.state_bits else 0.0
        self.hidden, self.padded = hidden, padded_size(hidden, x.dtype)
        self.rows, self.gate_rows = kind.n_projections * hidden, kind.n_gates * hidden
        self._kept: list[Tensor] = []
        self._options = (*options(x.dtype), self._threads())

    def _threads(self) -> int:
        flops = 2 * self.steps * self.batch * self.rows * (self.hidden + self.inputs)
        return max(1, min(torch.get_num_threads(), flops // _FLOPS_PER_THREAD))

    def addresses(self, *arrays: tuple[str, Tensor | None, tuple[int, ...]]) -> list[int]:
        """Addresses of arrays, each given with its name and shape; 0 for None.

        Raises:
            ShapeError: another shape, type or device, or not contiguous.
        """
        found = []
        for name, value, shape in arrays:
            if value is None:
                found.append(0)
                continue
            wanted = torch.int64 if name in _INTEGERS else self.dtype
            if value.shape != shape or value.dtype != wanted or not value.is_contiguous() or not value.is_cpu:
                raise ShapeError(
                    f"{name}: expected {wanted} of shape {shape}, contiguous, on the CPU; got {value.dtype} of shape "
                    f"{tuple(value.shape)}, strides {value.stride()}, on {value.device}"
                )
            self._kept.append(value)
            found.append(value.data_ptr())
        return found

    def _edges(self) -> tuple[int, ...]:
        addresses = [0] * _MAX_GATES
        for index, (gate, levels) in enumerate(zip(CELL_GATES[self.kind.cell], self.kind.gates, strict=True)):
            if levels:
                factor = 0.5 if gate in TANH_GATES else 1.0
                edges = torch.tensor([factor * t for t in level_thresholds(levels)], dtype=self.dtype)
                (addresses[index],) = self.addresses(("edges", edges, (levels - 1,)))
        return tuple(addresses)

    def layer(self, arrays: dict[str, Tensor | None], kept: dict[str, Tensor | None]) -> tuple[Any, ...]:
        """The tuple that csrc/bg_train_module.c reads into ``bg_train_layer``.

        Args:
            arrays: what the layer reads, by its names there: w_hh, v_hh, h_0, c_0, lengths, gate_scale, bias,
                alpha, position, anchor_0; None or no entry for what is not there.
            kept: what the forward pass writes, likewise.
        """
        T, B, Hp, kind = self.steps, self.batch, self.padded, self.kind
        G, P, rows, start = kind.n_gates, kind.n_projections, (self.rows, self.hidden), (self.batch, self.padded)
        skip_kind, block = encode_skip(kind.skip)
        read, written = arrays.get, kept.get
        found = self.addresses(
            ("lengths", read("lengths"), (B,)),
            ("w_hh", read("w_hh"), rows),
            ("v_hh", read("v_hh"), rows),
            ("h_0", read("h_0"), start),
            ("c_0", read("c_0"), start),
            ("output", written("output"), (T, B, Hp)),
            ("gates", written("gates"), (T, B, G, Hp)),
            ("slopes", written("slopes"), (T, B, G, Hp)),
            ("cells", written("cells"), (T, B, Hp)),
            ("extra", written("extra"), (T, B, Hp)),
            ("ratios", written("ratios"), (T, B, kind.n_preacts, Hp)),
            ("gate_scale", read("gate_scale"), (G, Hp)),
            ("bias", read("bias"), (G, Hp)),
            ("alpha", read("alpha"), (Hp,)),
            ("position", read("position"), (B,)),
            ("anchor_0", read("anchor_0"), start),
            ("shared", written("shared"), (T, B, P, Hp)),
        )
        return (
            list(CELL_GATES).index(kind.cell),
            *(T, B, self.inputs, self.hidden, Hp),
            _fill(kind.gates),
            self._edges(),
            *found[:11],
            P,
            _fill(kind.sharing or ()),
            skip_kind,
            block,
            *found[11:],
            self._state_unit,
        )

    def forward(self, layer: tuple[Any, ...], *addresses: int) -> None:
        """Runs the forward pass: x, w_ih, v_ih, noise, bias_ih, bias_hh, h_n, c_n, anchor_n."""
        extension.forward(*self._options, layer, *addresses)

    def backward(self, layer: tuple[Any, ...], *addresses: int) -> None:
        """Runs the backward pass: x, w_ih, v_ih, grad_output, and gradients as csrc/bg_train_module.c lists them."""
        extension.backward(*self._options, layer, *addresses)
