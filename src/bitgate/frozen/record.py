"""The parts of a frozen model: immutable records of integer arrays, checked when they are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bitgate.errors import ShapeError
from bitgate.frozen import packing

CELLS: Mapping[str, str] = {"lstm": "ifgo", "coupled_lstm": "igo", "gru": "rzn"}
"""Cells and the order of their gates' rows."""

TANH_GATES = frozenset("gn")
"""Gates with values in [-1, 1]; their pre-activations carry a factor 2."""


def require(condition: bool, message: str) -> None:
    """Raises ``ShapeError(message)`` unless ``condition`` holds."""
    if not condition:
        raise ShapeError(message)


def require_array(name: str, array: NDArray[np.generic], dtype: type, *shapes: tuple[int, ...]) -> None:
    """Raises ``ShapeError`` unless ``array`` has the type and one of the shapes; makes it read-only."""
    require(
        isinstance(array, np.ndarray) and array.dtype == dtype and array.shape in shapes,
        f"{name}: expected {np.dtype(dtype).name} of shape {' or '.join(map(str, shapes))}, "
        f"got {getattr(array, 'dtype', type(array).__name__)} {getattr(array, 'shape', '')}",
    )
    array.setflags(write=False)


@dataclass(frozen=True, eq=False)
class PackedMatrix:
    """A matrix of discrete weights: packed codes and the integer level that each code stands for."""

    packed: NDArray[np.uint8]  # (rows, row_bytes)
    columns: int
    bits: int
    levels: NDArray[np.int8]  # (n_levels,)
    is_dense: bool = False  # five codes to a byte, for three levels; otherwise ``bits`` for each

    def __post_init__(self) -> None:
        require(self.bits in packing.CODE_BITS, f"bits: {self.bits}, expected one of {packing.CODE_BITS}")
        require(
            not self.is_dense or (self.bits == 2 and len(self.levels) == 3),
            f"dense packing: {len(self.levels)} levels of {self.bits} bits, expected 3 levels of 2 bits",
        )
        width = -(-self.columns // packing.TRITS) if self.is_dense else packing.row_bytes(self.columns, self.bits)
        rows = self.packed.shape[0] if self.packed.ndim else 0
        require_array("packed", self.packed, np.uint8, (rows, width))
        n = len(self.levels)
        require(1 <= n <= 1 << self.bits, f"levels: {n} values cannot be named by {self.bits} bits")
        require_array("levels", self.levels, np.int8, (n,))
        require(int(self.levels.min()) >= -127, "levels: -128 has no negative in int8, expected -127 to 127")
        codes = self.codes
        require(not codes.size or int(codes.max()) < n, f"codes: a code exceeds the last of {n} levels")

    @staticmethod
    def from_codes(codes: NDArray[np.uint8], levels: NDArray[np.int8]) -> "PackedMatrix":
        """Packs ``codes (rows, columns)`` with the fewest bits that can name the levels."""
        bits = packing.bits_for(len(levels))
        return PackedMatrix(packing.pack(codes, bits), codes.shape[1], bits, levels)

    def with_packing(self, *, dense: bool) -> "PackedMatrix":
        """The same weights, five codes to a byte if ``dense`` and the levels are three, otherwise ``bits`` for each."""
        if not dense or len(self.levels) != 3:
            return PackedMatrix(packing.pack(self.codes, self.bits), self.columns, self.bits, self.levels)
        return PackedMatrix(packing.pack_dense(self.codes), self.columns, self.bits, self.levels, is_dense=True)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.packed.shape[0]

    @property
    def codes(self) -> NDArray[np.uint8]:
        """Codes ``(rows, columns)``."""
        if self.is_dense:
            return packing.unpack_dense(self.packed, self.columns)
        return packing.unpack(self.packed, self.columns, self.bits)

    @cached_property
    def values(self) -> NDArray[np.int8]:
        """Integer weights ``(rows, columns)``."""
        return self.levels[self.codes]

    @cached_property
    def transposed(self) -> NDArray[np.float64]:
        """Integer weights ``(columns, rows)`` in float64, in which BLAS products of integers are exact."""
        return np.ascontiguousarray(self.values.T, dtype=np.float64)

    @property
    def row_sums(self) -> NDArray[np.int64]:
        """``sum(abs(weight))`` of every row: the largest gain from inputs to accumulator."""
        return np.abs(self.values.astype(np.int64)).sum(axis=1)


@dataclass(frozen=True, eq=False)
class FrozenLayer:
    """One recurrent layer in one direction (docs/arithmetic.md names every constant)."""

    cell: str
    gate_levels: tuple[int, ...]  # by gate, in row order; 0 is smooth
    w_ih: PackedMatrix
    w_hh: PackedMatrix
    mult_ih: NDArray[np.int32]  # (gates,) or (gates * H,)
    mult_hh: NDArray[np.int32]
    shift: NDArray[np.int32]  # (gates,)
    bias: NDArray[np.int32]  # (gates * H,)
    bias_hn: NDArray[np.int32] | None  # (H,): GRU only
    product_bits: int
    reverse: bool = False

    def __post_init__(self) -> None:
        require(self.cell in CELLS, f"cell: {self.cell!r}, expected one of {sorted(CELLS)}")
        gates = len(CELLS[self.cell])
        rows = self.w_hh.columns * gates
        require(self.w_hh.columns > 0 and self.w_ih.columns > 0, "a layer needs at least one input and one unit")
        require(
            self.w_ih.rows == rows and self.w_hh.rows == rows,
            f"{self.cell}: {gates} gates of {self.w_hh.columns} units need {rows} rows, "
            f"got {self.w_ih.rows} (w_ih) and {self.w_hh.rows} (w_hh)",
        )
        require(
            len(self.gate_levels) == gates and all(n == 0 or 2 <= n <= 256 for n in self.gate_levels),
            f"gate_levels: {self.gate_levels}, expected {gates} values, each 0 (smooth) or 2 to 256",
        )
        require_array("mult_ih", self.mult_ih, np.int32, (gates,), (rows,))
        require_array("mult_hh", self.mult_hh, np.int32, self.mult_ih.shape)
        require_array("shift", self.shift, np.int32, (gates,))
        require_array("bias", self.bias, np.int32, (rows,))
        require((self.bias_hn is not None) == (self.cell == "gru"), "bias_hn: given exactly for a GRU")
        if self.bias_hn is not None:
            require_array("bias_hn", self.bias_hn, np.int32, (self.hidden_size,))
        require(self.product_bits in (32, 64), f"product_bits: {self.product_bits}, expected 32 or 64")
        highest = self.product_bits - 2
        require(
            bool(((self.shift >= 1) & (self.shift <= highest)).all()),
            f"shift: {self.shift.tolist()}, expected 1 to {highest}",
        )

    @property
    def gates(self) -> str:
        """Letters of the gates in row order."""
        return CELLS[self.cell]

    @property
    def hidden_size(self) -> int:
        """Number of units, H."""
        return self.w_hh.columns

    @property
    def input_size(self) -> int:
        """Number of inputs, I."""
        return self.w_ih.columns


@dataclass(frozen=True, eq=False)
class InputMap:
    """Affine map of raw features to integers: ``floor((x - mean) * gain + 0.5)`` in float32, then a clip."""

    mean: NDArray[np.float32]  # (I,) in the units of the data
    gain: NDArray[np.float32]  # (I,)

    def __post_init__(self) -> None:
        shape = (len(self.mean),)
        require_array("mean", self.mean, np.float32, shape)
        require_array("gain", self.gain, np.float32, shape)
        finite = np.isfinite(self.mean).all() and np.isfinite(self.gain).all()
        require(bool(finite), "input map: mean and gain must be finite")


@dataclass(frozen=True, eq=False)
class Readout:
    """Linear layer on the last hidden state; ``scale`` times an integer logit is the real logit."""

    weight: PackedMatrix  # (classes, H)
    mult: NDArray[np.int32]  # (1,) or (classes,)
    bias: NDArray[np.int32]  # (classes,)
    scale: float

    def __post_init__(self) -> None:
        require(self.weight.rows > 0, "readout: needs at least one class")
        require_array("mult", self.mult, np.int32, (1,), (self.weight.rows,))
        require_array("bias", self.bias, np.int32, (self.weight.rows,))
        require(np.isfinite(self.scale) and self.scale > 0, f"scale: {self.scale}, expected a positive number")
