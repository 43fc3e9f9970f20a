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


def product_bound(layer: FrozenLayer, limit: int) -> NDArray[np.object_]:
    """Per row of the gates: the largest ``|M_ih acc_x| + |M_hh acc_h|``, in Python integers that cannot overflow.

    Multipliers may have any sign; ``limit`` is the largest magnitude of a code.
    """
    sums = (matrix.row_sums[layer.weight_rows] for matrix in (layer.w_ih, layer.w_hh))
    mults = (abs(layer.by_row(mult).astype(object)) for mult in (layer.mult_ih, layer.mult_hh))
    ih, hh = (mult * part * limit for mult, part in zip(mults, sums, strict=True))
    return ih + hh


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
    shift = np.repeat(layer.shift, rows_per_gate).astype(object)
    product = product_bound(layer, limit) + 2 ** (shift - 1)
    if max(product) >= 1 << (layer.product_bits - 1):
        raise ShapeError(f"products reach {max(product)}, which {layer.product_bits} bits cannot hold")
    bias = abs(layer.bias.astype(object))
    if layer.bias_hn is not None:
        # u_n adds r * p_h to p_x: both share the row's bound, and bias_hn comes on top.
        bias[-rows_per_gate:] += abs(layer.bias_hn.astype(object))
    preact = product // 2**shift + bias + 2
    if max(preact) > INT32_MAX:
        raise ShapeError(f"pre-activations reach {max(preact)}, which int32 cannot hold")


def check_readout(readout: Readout, state_bits: int) -> None:
    """Raises ``ShapeError`` if some logit may overflow int32."""
    sums = readout.weight.row_sums.astype(object) * code_limit(state_bits)
    bound = abs(readout.mult.astype(object)) * sums + abs(readout.bias.astype(object))
    if max(bound) > INT32_MAX or max(sums) > INT32_MAX:
        raise ShapeError(f"logits reach {max(bound)}, which int32 cannot hold")
