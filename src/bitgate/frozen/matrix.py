"""A matrix of discrete weights, and the checks that all records share."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bitgate.errors import ShapeError
from bitgate.frozen import packing


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
