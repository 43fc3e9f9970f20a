"""Packing of weight codes into bytes: one layout, independent of the instruction set (docs/format.md).

Code ``j`` of a row occupies ``bits`` bits of byte ``j * bits // 8``, starting at bit ``j * bits % 8`` counted from
the least significant. Each row starts on a byte; the spare bits of its last byte are zero.

Dense packing, for codes 0 to 2 only: code ``j`` is digit ``j % 5``, in base three and the least first, of byte
``j // 5``.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitgate.errors import FormatError, ShapeError

CODE_BITS = (1, 2, 4, 8)
TRITS = 5
"""Ternary codes in a byte of dense packing: 3 ** 5 is 243, so 243 to 255 are no codes."""

_POWERS = 3 ** np.arange(TRITS)


def row_bytes(columns: int, bits: int) -> int:
    """Bytes of one packed row of ``columns`` codes."""
    return -(-columns * bits // 8)


def bits_for(n_levels: int) -> int:
    """Bits of a code that can name ``n_levels`` values: 1, 2, 4 or 8."""
    return next(bits for bits in CODE_BITS if n_levels <= 1 << bits)


def pack(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Packs codes ``(rows, columns)`` into ``(rows, row_bytes)``.

    Raises:
        ShapeError: ``codes`` is not a matrix, or holds a code that needs more than ``bits`` bits.
    """
    if codes.ndim != 2:
        raise ShapeError(f"codes: expected a matrix (rows, columns), got shape {codes.shape}")
    if codes.size and int(codes.max()) >= 1 << bits:
        raise ShapeError(f"codes: largest code is {int(codes.max())}, which {bits} bits cannot hold")
    rows, columns = codes.shape
    per_byte = 8 // bits
    padded = np.zeros((rows, row_bytes(columns, bits) * per_byte), dtype=np.uint8)
    padded[:, :columns] = codes
    shifts = np.arange(per_byte, dtype=np.uint8) * bits
    grouped = padded.reshape(rows, -1, per_byte) << shifts
    return np.bitwise_or.reduce(grouped, axis=2).astype(np.uint8)


def unpack(packed: NDArray[np.uint8], columns: int, bits: int) -> NDArray[np.uint8]:
    """Inverse of ``pack``.

    Raises:
        FormatError: the rows are too short or too long, or a spare bit is set.
    """
    if bits not in CODE_BITS or packed.ndim != 2 or packed.shape[1] != row_bytes(columns, bits):
        raise FormatError(
            f"packed weights of shape {packed.shape} cannot hold {columns} columns of {bits} bits: "
            f"rows of {row_bytes(columns, bits)} bytes expected"
        )
    per_byte = 8 // bits
    shifts = np.arange(per_byte, dtype=np.uint8) * bits
    codes = (packed[:, :, None] >> shifts) & np.uint8((1 << bits) - 1)
    codes = codes.reshape(packed.shape[0], -1)
    if codes[:, columns:].any():
        raise FormatError("packed weights: spare bits behind the end of a row are not zero")
    return np.ascontiguousarray(codes[:, :columns])


def check(packed: NDArray[np.uint8], columns: int, bits: int, n_levels: int, *, dense: bool = False) -> None:
    """Checks all codes ``(rows, row_bytes)`` at the price of a pass over the bytes, without unpacking them.

    Raises:
        ShapeError: a code is not below ``n_levels``, or five ternary codes are no byte.
        FormatError: a spare bit or digit is set.
    """
    if not packed.size:
        return
    if dense:
        unpack_dense(packed[:, -1:], columns - TRITS * (packed.shape[1] - 1))
        largest = 0 if int(packed.max()) < 3**TRITS else n_levels
    else:
        unpack(packed[:, -1:], columns - 8 // bits * (packed.shape[1] - 1), bits)
        largest = _largest_code(packed, bits, n_levels)
    if largest >= n_levels:
        raise ShapeError(f"codes: a code exceeds the last of {n_levels} levels")


def _largest_code(packed: NDArray[np.uint8], bits: int, n_levels: int) -> int:
    """The largest code, or 0 where any value of the bits is a level."""
    if n_levels == 1 << bits:
        return 0
    words = _words(packed)
    if bits == 2 and n_levels == 3:
        low = words.dtype.type(0x5555555555555555 & ((1 << 8 * words.itemsize) - 1))
        return 3 if (words & (words >> 1) & low).any() else 0
    return max(int(((packed >> shift) & ((1 << bits) - 1)).max()) for shift in range(0, 8, bits))


def _words(packed: NDArray[np.uint8]) -> NDArray[np.unsignedinteger[Any]]:
    """The same bytes, eight at a time where the rows allow it."""
    return packed.view(np.uint64) if packed.shape[1] % 8 == 0 and packed.flags.c_contiguous else packed


def row_sums(
    packed: NDArray[np.uint8], columns: int, bits: int, levels: NDArray[np.int8], *, dense: bool = False
) -> NDArray[np.int64]:
    """Sum of ``abs(level)`` of the codes of every row, without unpacking them; the codes are those of ``check``."""
    sizes = np.abs(levels.astype(np.int64))
    if (sizes == sizes[0]).all():
        return np.full(packed.shape[0], columns * sizes[0])
    if bits == 2 and not dense and len(levels) == 3 and hasattr(np, "bitwise_count"):
        words = _words(packed)
        low = words.dtype.type(0x5555555555555555 & ((1 << 8 * words.itemsize) - 1))
        ones = np.bitwise_count(words & low).sum(axis=1, dtype=np.int64)
        twos = np.bitwise_count(words & ~low).sum(axis=1, dtype=np.int64)
        return sizes[1] * ones + sizes[2] * twos + sizes[0] * (columns - ones - twos)
    per_byte = TRITS if dense else 8 // bits
    padded = np.zeros(256 if not dense else 3, dtype=np.int64)
    padded[: len(sizes)] = sizes
    values = np.arange(256)
    digits = [values // 3**k % 3 if dense else values >> bits * k & ((1 << bits) - 1) for k in range(per_byte)]
    table = sum((padded[digit] for digit in digits), np.zeros(256, np.int64))
    spare = packed.shape[1] * per_byte - columns
    # The narrowest type: most of the time goes into moving these numbers.
    narrow = table.astype(np.uint8 if table.max() < 256 else np.uint16)
    return narrow.take(packed).sum(axis=1, dtype=np.uint32).astype(np.int64) - spare * sizes[0]


def pack_dense(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Packs ternary codes ``(rows, columns)``, five to a byte.

    Raises:
        ShapeError: ``codes`` is not a matrix, or holds a code above 2.
    """
    if codes.ndim != 2:
        raise ShapeError(f"codes: expected a matrix (rows, columns), got shape {codes.shape}")
    if codes.size and int(codes.max()) > 2:
        raise ShapeError(f"codes: largest code is {int(codes.max())}; dense packing holds 0 to 2")
    rows, columns = codes.shape
    padded = np.pad(codes, ((0, 0), (0, -columns % TRITS))).reshape(rows, -1, TRITS)
    return (padded @ _POWERS).astype(np.uint8)


def unpack_dense(packed: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Inverse of ``pack_dense``.

    Raises:
        FormatError: the rows are too short or too long, a byte is 243 or more, or a spare digit is not zero.
    """
    width = -(-columns // TRITS)
    if packed.ndim != 2 or packed.shape[1] != width:
        raise FormatError(
            f"packed weights of shape {packed.shape} cannot hold {columns} columns of five to a byte: "
            f"rows of {width} bytes expected"
        )
    if packed.size and int(packed.max()) >= 3**TRITS:
        raise FormatError(f"packed weights: byte {int(packed.max())}, expected less than 243 (five ternary codes)")
    codes = (packed[:, :, None] // _POWERS % 3).astype(np.uint8).reshape(packed.shape[0], -1)
    if codes[:, columns:].any():
        raise FormatError("packed weights: spare digits behind the end of a row are not zero")
    return np.ascontiguousarray(codes[:, :columns])
