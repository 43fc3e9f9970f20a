"""Real weights and scales as integers: levels, packed codes, multipliers and shifts (docs/arithmetic.md)."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bitgate.frozen import PackedMatrix
from bitgate.frozen.bounds import INT32_MAX, code_limit
from bitgate.frozen.record import BIAS_UNIT, is_short_bias
from bitgate.nn.matrix import WeightMatrix
from bitgate.weights import Levels, WeightDistribution

Real = NDArray[np.float64]

_ENOUGH_MULTIPLIER = 512
"""A multiplier of ten significant bits is wrong by less than 0.1 %."""


def to_array(parameter: Tensor) -> Real:
    """A parameter in NumPy."""
    return parameter.detach().double().numpy()


def to_int32(values: Real) -> NDArray[np.int32]:
    """Rounded and clipped."""
    return np.clip(np.round(values), -INT32_MAX, INT32_MAX).astype(np.int32)


def short_biases(real: Real) -> NDArray[np.int32]:
    """Biases in Q15, in whole units of Q12; where these need more than 16 bits, rounded to Q15 only."""
    rounded = to_int32(real * ((1 << 15) / BIAS_UNIT)).astype(np.int64) * BIAS_UNIT
    return rounded.astype(np.int32) if is_short_bias(rounded) else to_int32(real * (1 << 15))


def integer_levels(levels: Levels) -> tuple[NDArray[np.int8], float]:
    """Integer levels and the real value of one: the smallest integers in the same ratios, up to 127.

    Levels in no such ratio are rounded to 8 bits, as continuous weights are.
    """
    values = np.array(levels, dtype=np.float64)
    largest = float(np.abs(values).max())
    for count in range(1, 128):
        unit = largest / count
        if np.abs(values / unit - np.round(values / unit)).max() < 1e-6:
            break
    return np.round(values / unit).astype(np.int8), unit


def integer_matrix(matrix: WeightMatrix) -> tuple[PackedMatrix, NDArray[np.float64]]:
    """Packed weights and the real value of one unit: one number, or one for each row of continuous weights."""
    if isinstance(matrix, WeightDistribution) and matrix.levels is not None:
        values = matrix.mode().double().numpy()
        levels, unit = integer_levels(matrix.levels)
        codes = np.abs(values[..., None] - np.array(matrix.levels)).argmin(axis=-1)
        return PackedMatrix.from_codes(codes.astype(np.uint8), levels), np.array([unit])
    tensor = matrix.mode() if isinstance(matrix, WeightDistribution) else matrix.detach()
    weights = tensor.double().numpy()
    units = np.abs(weights).max(axis=1) / 127
    units = np.where(units > 0, units, 1.0)
    codes = np.round(weights / units[:, None]).astype(np.int64) + 127
    return PackedMatrix.from_codes(codes.astype(np.uint8), np.arange(-127, 128).astype(np.int8)), units


def multipliers(
    sums: tuple[NDArray[np.int64], NDArray[np.int64]], real: tuple[Real, Real], gates: int, state_bits: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], int]:
    """Integer multipliers, shifts and the width of the products (docs/arithmetic.md, Pre-activation).

    Args:
        sums: ``row_sums`` of the input's and of the recurrent weights behind each row of the gates, ``(gates * H,)``.
        real: real multipliers of both, in Q15, of any sign: by gate, or by row of the gates.
        gates: number of gates.
        state_bits: bits of inputs and hidden states.
    """
    for product_bits in (32, 64):
        shift = np.array([_largest_shift(sums, real, k, gates, state_bits, product_bits) for k in range(gates)])
        factor = 2.0 ** np.repeat(shift, len(real[0]) // gates)
        mult_ih, mult_hh = to_int32(real[0] * factor), to_int32(real[1] * factor)
        strongest = np.minimum(*(abs(mult).reshape(gates, -1).max(axis=1) for mult in (mult_ih, mult_hh)))
        if strongest.min() >= _ENOUGH_MULTIPLIER:
            break
    return mult_ih, mult_hh, shift.astype(np.int32), product_bits


def _largest_shift(
    sums: tuple[NDArray[np.int64], NDArray[np.int64]],
    real: tuple[Real, Real],
    gate: int,
    gates: int,
    state_bits: int,
    product_bits: int,
) -> int:
    """The largest shift of one gate whose products provably fit."""
    limit = code_limit(state_bits)
    sum_ih, sum_hh = (part.reshape(gates, -1)[gate] for part in sums)
    ih, hh = (abs(part.reshape(gates, -1)[gate]) for part in real)  # (1,) or (H,)
    reach = float((ih * sum_ih + hh * sum_hh).max()) * limit
    largest = float(max(ih.max(), hh.max()))
    shift = product_bits - 2
    # The half added for rounding and the rounding of the multipliers themselves stay below twice the sums.
    slack = float((sum_ih + sum_hh).max() * limit)
    while shift > 1 and (
        (reach * 2.0**shift + slack + 2.0 ** (shift - 1)) >= 2.0 ** (product_bits - 1)
        or largest * 2.0**shift >= INT32_MAX
    ):
        shift -= 1
    return shift
