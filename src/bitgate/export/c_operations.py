"""Additions, multiplications and look-ups that the C kernels execute in one time step.

Counted as in bitgate/frozen/operations.py, from what each kind of kernels does with a weight. A weight of 0 costs as
much as any other, and so does a product with a step gate: the kernels do not branch on either.
"""

from bitgate.export.c_fast import BLOCK, LANE_INPUTS, TABLE_GROUPS, Kernels, check_kernels, padded
from bitgate.export.c_kernels import row_function
from bitgate.frozen import FrozenLayer, FrozenModel, PackedMatrix
from bitgate.frozen.operations import SCALED_ROW, Operations, gates_and_state

_PER_WEIGHT = {
    "bg_row_binary": Operations(additions=1),
    "bg_row_ternary": Operations(additions=2, multiplications=1),  # code - 1, times the input, to the sum
    "bg_row_levels": Operations(additions=1, multiplications=1, lookups=1),
}

# The signed sums of four inputs: 3 for the first, 12 for five pairs and their packing, 45 for all pairs, 12 from row to
# row, 1 for three times an input.
_TABLE_FILL = Operations(additions=73)


def kernel_operations(frozen: FrozenModel, kernels: Kernels = "plain") -> Operations:
    """Operations of one step of all recurrent layers.

    Raises:
        ArgumentError: no such kernels.
        UnsupportedError: the model does not fit them.
    """
    check_kernels(frozen, kernels)
    sums = _SUMS[kernels]
    layers = (sums(layer) + gates_and_state(layer, frozen.state_bits, ()) for layer in frozen.flat_layers)
    return sum(layers, Operations())


def _plain(layer: FrozenLayer) -> Operations:
    weights = (_PER_WEIGHT[row_function(m)] * m.values.size for m in (layer.w_ih, layer.w_hh))
    return sum(weights, SCALED_ROW * layer.w_hh.rows)


def _padded_rows(layer: FrozenLayer) -> int:
    return padded(layer.hidden_size) * len(layer.gates)


def _passes(matrix: PackedMatrix, inputs: int) -> int:
    return -(-matrix.columns // inputs)


def _table(layer: FrozenLayer) -> Operations:
    """A look-up and an addition per row and group of four inputs; a product and an addition per row and pass."""
    rows, total = _padded_rows(layer), Operations()
    for matrix in (layer.w_ih, layer.w_hh):
        groups = -(-matrix.columns // 4)
        total += _TABLE_FILL * groups + Operations(additions=1, lookups=1) * (rows * groups)
        total += Operations(1, 1) * (rows * _passes(matrix, 4 * TABLE_GROUPS))
    return total


def _lanes(layer: FrozenLayer) -> Operations:
    """SMLAD: two products for two rows and two inputs; sums of the inputs; lanes taken apart once a pass."""
    rows, total = _padded_rows(layer), Operations()
    for matrix in (layer.w_ih, layer.w_hh):
        inputs = -(-matrix.columns // 8) * 8
        total += Operations(1, 1) * (rows * inputs // 2) + Operations(additions=matrix.columns)
        passes = _passes(matrix, LANE_INPUTS)
        total += (Operations(1, 1) * rows + Operations(additions=rows // 2)) * passes
    return total


_SUMS = {"plain": _plain, "table": _table, "lanes": _lanes}
assert BLOCK == 4  # both fast kinds above take four rows at a time
