"""Proof from the weights themselves that no accumulator of a frozen model can overflow."""

import numpy as np
from numpy.typing import NDArray

from bitgate.errors import ShapeError
from bitgate.frozen.record import FrozenLayer, PackedMatrix, Readout

INT32_MAX = (1 << 31) - 1


def code_limit(state_bits: int) -> int:
    """Largest magnitude of an input or hidden state of ``state_bits`` bits."""
    return (1 << (state_bits - 1)) - 1


def product_bound(
    w_ih: PackedMatrix, w_hh: PackedMatrix, mult_ih: NDArray[np.int32], mult_hh: NDArray[np.int32], limit: int
) -> NDArray[np.object_]:
    """Per row: the largest ``|M_ih acc_x| + |M_hh acc_h|``, in Python integers that cannot overflow."""
    rows = w_ih.rows
    m_ih = np.repeat(mult_ih, rows // len(mult_ih)).astype(object)
    m_hh = np.repeat(mult_hh, rows // len(mult_hh)).astype(object)
    return abs(m_ih) * w_ih.row_sums * limit + abs(m_hh) * w_hh.row_sums * limit


def check_layer(layer: FrozenLayer, state_bits: int) -> None:
    """Raises ``ShapeError`` if some accumulator, product or pre-activation of ``layer`` may overflow."""
    limit = code_limit(state_bits)
    largest_sum = int(max(layer.w_ih.row_sums.max(), layer.w_hh.row_sums.max()))
    if largest_sum * limit > INT32_MAX:
        raise ShapeError(f"a row of weights sums to {largest_sum}: its accumulator may leave int32")
    rows_per_gate = layer.hidden_size
    shift = np.repeat(layer.shift, rows_per_gate).astype(object)
    product = product_bound(layer.w_ih, layer.w_hh, layer.mult_ih, layer.mult_hh, limit) + 2 ** (shift - 1)
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
