"""Packing of weight codes into bytes: one layout, independent of the instruction set (docs/format.md).

Code ``j`` of a row occupies ``bits`` bits of byte ``j * bits // 8``, starting at bit ``j * bits % 8`` counted from
the least significant. Each row starts on a byte; the spare bits of its last byte are zero.

Dense packing, for codes 0 to 2 only: code ``j`` is digit ``j % 5``, in base three and the least first, of byte
``j // 5``.
"""

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
