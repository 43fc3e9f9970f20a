"""The C training kernels (``csrc``): which path of the processor they take, and checked calls into them."""

import importlib
import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bitgate.cells import CELL_GATES, CellKind
from bitgate.errors import ArgumentError, ShapeError
from bitgate.gates import level_thresholds
from bitgate.gates.activation import TANH_GATES
from bitgate.ops.problem import Recurrence

SIMD_VARIABLE = "BITGATE_SIMD"
SIMD_PATHS = ("portable", "avx2", "avx512")
DTYPES = (torch.float32, torch.float64)

_LINE_BYTES = 64  # units are padded to whole lines, so that every path reads whole vectors
_MAX_GATES = 4
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
    supported = [path for number, path in enumerate(SIMD_PATHS) if extension.supports(number)]
    wanted = os.environ.get(SIMD_VARIABLE) or supported[-1]
    if wanted not in supported:
        known = "this processor runs" if wanted in SIMD_PATHS else "expected one of"
        raise ArgumentError(f"{SIMD_VARIABLE}: {wanted!r}, {known} {', '.join(supported)}")
    return wanted


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
    return SIMD_PATHS.index(simd_path()), dtype == torch.float64


def padded_size(hidden: int, dtype: torch.dtype) -> int:
    """``hidden`` rounded up to whole lines of memory."""
    line = _LINE_BYTES // dtype.itemsize
    return -(-hidden // line) * line


class Call:
    """Arguments of one call: keeps what it points to alive, checks every array against its shape."""

    def __init__(self, cell: CellKind, levels: Sequence[int], x: Tensor, hidden: int) -> None:
        if x.dtype not in DTYPES or x.device.type != "cpu":
            raise ShapeError(f"x: expected float32 or float64 on the CPU, got {x.dtype} on {x.device}")
        self.cell, self.levels, self.dtype = cell, tuple(levels), x.dtype
        self.steps, self.batch, self.inputs = x.shape
        self.hidden, self.padded = hidden, padded_size(hidden, x.dtype)
        self._kept: list[Tensor] = []
        self._options = (*options(x.dtype), self._threads())

    def _threads(self) -> int:
        flops = 2 * len(self.levels) * self.steps * self.batch * self.hidden * (self.hidden + self.inputs)
        return max(1, min(torch.get_num_threads(), flops // _FLOPS_PER_THREAD))

    @property
    def n_preacts(self) -> int:
        """Blocks of pre-activations, as ``Recurrence.n_preacts``."""
        return Recurrence(self.cell, self.levels).n_preacts

    def address(self, name: str, value: Tensor | None, *shape: int, dtype: torch.dtype | None = None) -> int:
        """Address of an array, 0 for None.

        Raises:
            ShapeError: another shape, type or device, or not contiguous.
        """
        if value is None:
            return 0
        wanted = dtype or self.dtype
        if (
            tuple(value.shape) != shape
            or value.dtype != wanted
            or not value.is_contiguous()
            or not value.device.type == "cpu"
        ):
            raise ShapeError(
                f"{name}: expected {wanted} of shape {shape}, contiguous, on the CPU; got {value.dtype} of shape "
                f"{tuple(value.shape)}, strides {value.stride()}, on {value.device}"
            )
        self._kept.append(value)
        return value.data_ptr()

    def _edges(self) -> tuple[int, ...]:
        addresses = [0] * _MAX_GATES
        for index, (gate, levels) in enumerate(zip(CELL_GATES[self.cell], self.levels, strict=True)):
            if levels:
                factor = 0.5 if gate in TANH_GATES else 1.0
                edges = torch.tensor([factor * t for t in level_thresholds(levels)], dtype=self.dtype)
                addresses[index] = self.address("edges", edges, levels - 1)
        return tuple(addresses)

    def layer(
        self,
        w_hh: Tensor,
        v_hh: Tensor | None,
        h_0: Tensor,
        c_0: Tensor | None,
        lengths: Tensor | None,
        kept: dict[str, Tensor | None],
    ) -> tuple[Any, ...]:
        """The tuple that csrc/bg_train_module.c reads into ``bg_train_layer``."""
        T, B, Hp, G = self.steps, self.batch, self.padded, len(self.levels)
        square = (G * self.hidden, self.hidden)
        return (
            list(CELL_GATES).index(self.cell),
            *(T, B, self.inputs, self.hidden, Hp),
            (*self.levels, 0)[:_MAX_GATES],
            self._edges(),
            self.address("lengths", lengths, B, dtype=torch.int64),
            self.address("w_hh", w_hh, *square),
            self.address("v_hh", v_hh, *square),
            self.address("h_0", h_0, B, Hp),
            self.address("c_0", c_0, B, Hp),
            self.address("output", kept.get("output"), T, B, Hp),
            self.address("gates", kept.get("gates"), T, B, G, Hp),
            self.address("slopes", kept.get("slopes"), T, B, G, Hp),
            self.address("cells", kept.get("cells"), T, B, Hp),
            self.address("extra", kept.get("extra"), T, B, Hp),
            self.address("ratios", kept.get("ratios"), T, B, self.n_preacts, Hp),
        )

    def forward(self, layer: tuple[Any, ...], *addresses: int) -> None:
        """Runs the forward pass: x, w_ih, v_ih, noise, bias_ih, bias_hh, h_n, c_n."""
        extension.forward(*self._options, layer, *addresses)

    def backward(self, layer: tuple[Any, ...], *addresses: int) -> None:
        """Runs the backward pass: x, w_ih, v_ih, grad_output, and the gradients of h, c, x and of all parameters."""
        extension.backward(*self._options, layer, *addresses)
