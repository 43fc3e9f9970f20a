"""Additions, multiplications and look-ups that the C kernels execute in one time step.

Counted as in bitgate/frozen/operations.py, from what each kind of kernels does with a weight. A weight of 0 costs as
much as any other, and so does a product with a step gate: the kernels do not branch on either. Where a kernel has loops
by hand for some cores, its version in C is counted.
"""

from bitgate.export.c_fast import (
    LANE_GROUP,
    LANE_INPUTS,
    Kernels,
    check_kernels,
    has_separate_sums,
    padded,
    table_groups,
)
from bitgate.export.c_kernels import row_function
from bitgate.frozen import FrozenLayer, FrozenModel, PackedMatrix
from bitgate.frozen.operations import SCALED_ROW, Operations, gates_and_state

_PER_WEIGHT = {
    "bg_row_binary": Operations(additions=1),
    "bg_row_ternary": Operations(additions=2, multiplications=1),  # code - 1, times the input, to the sum
    "bg_row_levels": Operations(additions=1, multiplications=1, lookups=1),
    "bg_row_dense": Operations(additions=2, multiplications=3, lookups=1),  # division by 3, its rest, level times input
}

# The signed sums of four inputs: 23 additions for the first row of five pairs and the steps from row to row, five pairs
# for each of nine rows; three times an input.
_TABLE_FILL = Operations(additions=23 + 45, multiplications=1)

# A pair of sums is scaled and joined with another: two products, the sum of both and an offset.
_RESCALED_ROW = Operations(additions=2, multiplications=2)

# Of a GRU's n the step scales both sums.
_SEPARATE_UNIT = Operations(additions=2, multiplications=2)

# Fast kernels join (1 - i) c + i g to c + i (2 s - 1 - c), s the candidate's sigmoid.
_JOINED_UNIT = Operations(additions=-1, multiplications=-1)


def kernel_operations(frozen: FrozenModel, kernels: Kernels = "plain") -> Operations:
    """Operations of one step of all recurrent layers.

    Raises:
        ArgumentError: no such kernels.
        UnsupportedError: the model does not fit them.
    """
    check_kernels(frozen, kernels)
    total = Operations()
    for layer in frozen.flat_layers:
        total += gates_and_state(layer, frozen.state_bits, ())
        if kernels == "plain":
            total += _plain(layer)
            continue
        total += _table(layer, table_groups(frozen)) if kernels == "table" else _lanes(layer)
        if has_separate_sums(layer):
            total += SCALED_ROW * layer.bias.size
        elif layer.cell == "gru":
            total += _SEPARATE_UNIT * layer.hidden_size
        elif layer.cell == "coupled_lstm":
            total += _JOINED_UNIT * layer.hidden_size
    return total


def _plain(layer: FrozenLayer) -> Operations:
    weights = (_PER_WEIGHT[row_function(m)] * m.values.size for m in (layer.w_ih, layer.w_hh))
    return sum(weights, SCALED_ROW * layer.bias.size)


def _padded_rows(layer: FrozenLayer) -> int:
    return padded(layer.hidden_size) * layer.n_projections


def _passes(matrix: PackedMatrix, inputs: int) -> int:
    return -(-matrix.columns // inputs)


def _table(layer: FrozenLayer, groups_at_a_time: int) -> Operations:
    """A look-up and an addition per row and group of four inputs; the narrower matrix rescales once a pass."""
    rows, total = _padded_rows(layer), Operations()
    for matrix in (layer.w_ih, layer.w_hh):
        groups = _passes(matrix, 4)
        total += _TABLE_FILL * groups + Operations(additions=1, lookups=1) * (rows * groups)
    if not has_separate_sums(layer):
        narrower = min((layer.w_ih, layer.w_hh), key=lambda matrix: matrix.columns)
        total += _RESCALED_ROW * (rows * _passes(narrower, 4 * groups_at_a_time))
    return total


def _lanes(layer: FrozenLayer) -> Operations:
    """SMLAD: two products for two rows and two inputs; sums of the inputs; lanes taken apart once a pass."""
    rows, total = _padded_rows(layer), Operations()
    for matrix in (layer.w_ih, layer.w_hh):
        inputs = _passes(matrix, LANE_GROUP) * LANE_GROUP
        total += Operations(1, 1) * (rows * inputs // 2) + Operations(additions=inputs)
        passes = _passes(matrix, LANE_INPUTS)
        total += (Operations(1, 1) * rows + Operations(additions=rows // 2)) * passes
    return total
