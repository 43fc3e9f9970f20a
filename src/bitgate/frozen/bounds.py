"""Proof from the weights themselves that no accumulator of a frozen model can overflow."""

import numpy as np
from numpy.typing import NDArray

from bitgate.errors import ShapeError
from bitgate.frozen.record import FrozenLayer, Readout

INT32_MAX = (1 << 31) - 1
MIN_OUTPUT_BITS = 4
"""Bits of a cell's output that a block skip's range must leave."""


def code_limit(state_bits: int) -> int:
    """Largest magnitude of an input or hidden state of ``state_bits`` bits."""
    return (1 << (state_bits - 1)) - 1


def product_bound(layer: FrozenLayer, limit: int) -> NDArray[np.uint64]:
    """Per row of the gates: the largest ``|M_ih acc_x| + |M_hh acc_h|``, exact where the sums themselves fit in int32.

    Multipliers may have any sign; ``limit`` is the largest magnitude of a code.
    """
    sums = (matrix.row_sums[layer.weight_rows] * limit for matrix in (layer.w_ih, layer.w_hh))
    mults = (_magnitude(layer.by_row(mult)) for mult in (layer.mult_ih, layer.mult_hh))
    # Each below 2**31 times 2**31.
    ih, hh = (mult * part.astype(np.uint64) for mult, part in zip(mults, sums, strict=True))
    return ih + hh


def _magnitude(values: NDArray[np.int32]) -> NDArray[np.uint64]:
    return np.abs(values.astype(np.int64)).astype(np.uint64)


def check_layer(layer: FrozenLayer, state_bits: int) -> None:
    """Raises ``ShapeError`` if some accumulator, product or pre-activation of ``layer`` may overflow.

    A block skip adds nothing: its codes are clipped, and ``alpha * anchor`` fits by the ranges of both.
    """
    limit = code_limit(state_bits)
    highest = state_bits - MIN_OUTPUT_BITS
    if layer.range_bits > highest:
        raise ShapeError(f"range_bits: {layer.range_bits}, at most {highest} are possible with {state_bits} state bits")
    largest_sum = int(max(layer.w_ih.row_sums.max(), layer.w_hh.row_sums.max()))
    if largest_sum * limit > INT32_MAX:
        raise ShapeError(f"a row of weights sums to {largest_sum}: its accumulator may leave int32")
    rows_per_gate = layer.hidden_size
    shift = np.repeat(layer.shift, rows_per_gate).astype(np.uint64)
    # At most 2**62 + 2**62 + 2**61: uint64 holds it.
    one = np.uint64(1)
    product = product_bound(layer, limit) + (one << (shift - one))
    if int(product.max()) >= 1 << (layer.product_bits - 1):
        raise ShapeError(f"products reach {product.max()}, which {layer.product_bits} bits cannot hold")
    bias = _magnitude(layer.bias)
    if layer.bias_hn is not None:
        # u_n adds r * p_h to p_x: both share the row's bound, and bias_hn comes on top.
        bias[-rows_per_gate:] += _magnitude(layer.bias_hn)
    preact = (product >> shift) + bias + np.uint64(2)
    if int(preact.max()) > INT32_MAX:
        raise ShapeError(f"pre-activations reach {preact.max()}, which int32 cannot hold")


def check_readout(readout: Readout, state_bits: int) -> None:
    """Raises ``ShapeError`` if some logit may overflow int32."""
    sums = readout.weight.row_sums.astype(object) * code_limit(state_bits)
    bound = abs(readout.mult.astype(object)) * sums + abs(readout.bias.astype(object))
    if max(bound) > INT32_MAX or max(sums) > INT32_MAX:
        raise ShapeError(f"logits reach {max(bound)}, which int32 cannot hold")
