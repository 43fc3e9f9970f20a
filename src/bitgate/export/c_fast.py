"""Fast ternary kernels: which layers they take, the order of their weights, the memory they need (csrc/bg_sums.h)."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bitgate.errors import ArgumentError, UnsupportedError
from bitgate.frozen import FrozenLayer, FrozenModel, PackedMatrix

Kernels = Literal["plain", "table", "lanes"]
"""How rows are summed: one by one; by tables of four inputs; two rows to a multiply-accumulate of 16-bit lanes."""

KERNELS: tuple[Kernels, ...] = get_args(Kernels)
JOINT_CELLS = ("lstm", "coupled_lstm", "gru")
"""Cells with steps of their own for the sums of the fast kernels; others take the steps of shared projections."""

MAX_STATE_BITS = {"table": 13, "lanes": 8}

BLOCK = 4  # rows that are summed side by side
LANE_INPUTS = 64  # that are summed in lanes at once
LANE_GROUP = 8  # inputs of a row whose weights share a word
TABLE_ENTRIES = 90
MAX_TABLE_GROUPS = 8
MIN_TABLE_GROUPS = 3
TABLE_RAM_BYTES = 2500
"""As many groups of inputs are tabulated at a time as the whole model needs no more RAM with, but at least three."""


def check_kernels(frozen: FrozenModel, kernels: str) -> None:
    """Refuses what ``kernels`` cannot compute.

    Raises:
        ArgumentError: no such kernels.
        UnsupportedError: a layer that they do not fit; the message says why.
    """
    if kernels not in KERNELS:
        raise ArgumentError(f"kernels: {kernels!r}, expected one of {', '.join(KERNELS)}")
    if kernels == "plain":
        return
    highest = MAX_STATE_BITS[kernels]
    if frozen.state_bits > highest:
        raise UnsupportedError(
            f"kernels {kernels!r}: states of {frozen.state_bits} bits, at most {highest} are possible; "
            f"freeze with state_bits={highest}, or export with kernels='plain'"
        )
    if not frozen.layers:
        raise UnsupportedError(f"kernels {kernels!r}: the model has no recurrent layer; export with kernels='plain'")
    for k, layer in enumerate(frozen.flat_layers):
        if any(matrix.levels.tolist() != [-1, 0, 1] for matrix in (layer.w_ih, layer.w_hh)):
            raise UnsupportedError(
                f"kernels {kernels!r}: the weights of layer {k} are not ternary; use kernels='plain'"
            )


def has_separate_sums(layer: FrozenLayer) -> bool:
    """Whether the kernels make all sums of ``layer`` without multipliers, and its step scales them by gate and unit."""
    per_row = len(layer.mult_ih) != len(layer.gates)
    return layer.is_shared or per_row or layer.product_bits != 32 or layer.cell not in JOINT_CELLS


def joint_gates(layer: FrozenLayer) -> int:
    """How many gates, from the first, get one scaled sum of inputs and states."""
    return 0 if has_separate_sums(layer) else len(layer.gates) - (layer.cell == "gru")


def separate_gates(layer: FrozenLayer) -> int:
    """How many gates or projections get a sum of the inputs and one of the states."""
    return layer.n_projections if has_separate_sums(layer) else int(layer.cell == "gru")


def padded(size: int) -> int:
    """Units of a gate up to a whole number of blocks."""
    return -(-size // BLOCK) * BLOCK


def table_groups(frozen: FrozenModel) -> int:
    """Groups of four inputs whose tables exist at a time: more of them save passes over the sums, and cost RAM."""
    state = 2 * sum(layer.state_size for layer in frozen.flat_layers)
    largest = max(2 * scratch_size(layer, "table", 0) for layer in frozen.flat_layers)
    groups = (TABLE_RAM_BYTES - state - largest) // (2 * TABLE_ENTRIES)
    return min(max(groups, MIN_TABLE_GROUPS), MAX_TABLE_GROUPS)


def scratch_size(layer: FrozenLayer, kernels: Kernels, groups: int) -> int:
    """Number of int16 of working memory that a step of ``layer`` needs; ``groups`` of ``table_groups``."""
    if kernels == "plain":
        return layer.hidden_size
    sums = joint_gates(layer) + 2 * separate_gates(layer)
    columns = (layer.input_size, layer.hidden_size)
    work = groups * TABLE_ENTRIES if kernels == "table" else sum(map(_lane_words, columns))
    return 2 * sums * padded(layer.hidden_size) + work


def _lane_words(columns: int) -> int:
    """Number of int16 in the copy of ``columns`` inputs: whole groups, and the sum of each pass."""
    return -(-columns // LANE_GROUP) * LANE_GROUP + 2 * -(-columns // LANE_INPUTS)


def order_weights(
    matrix: PackedMatrix, gates: int, kernels: Kernels, groups: int, *, first: int = 0
) -> NDArray[np.uint8 | np.uint32]:
    """The weights of ``matrix`` in the order in which the kernels read them.

    Args:
        matrix: rows gate by gate, or projection by projection.
        gates: how many.
        kernels: "table" or "lanes".
        groups: of ``table_groups``.
        first: the gate whose rows come first; those before it come last.
    """
    units = matrix.rows // gates
    values = matrix.values.reshape(gates, units, matrix.columns).astype(np.int64)
    values = np.pad(np.roll(values, -first, axis=0), ((0, 0), (0, padded(units) - units), (0, 0)))
    if kernels == "lanes":
        return _lanes(values)
    return np.concatenate([_tables(values[:, :, at : at + 4 * groups]) for at in range(0, matrix.columns, 4 * groups)])


def _blocks(values: NDArray[np.int64], group: int) -> NDArray[np.int64]:
    """Weights ``(gates, units, inputs)`` as ``(blocks, groups, rows of a block, inputs of a group)``."""
    gates, units, inputs = values.shape
    filled = np.pad(values, ((0, 0), (0, 0), (0, -inputs % group)))
    return filled.reshape(gates * units // BLOCK, BLOCK, -1, group).transpose(0, 2, 1, 3)


def _tables(values: NDArray[np.int64]) -> NDArray[np.uint8]:
    """A byte for four weights of a row: twice the index ``10 (3 a + b) + 3 c + d`` of their sum."""
    digits = _blocks(values, 4) + 1
    return (digits @ np.array([60, 20, 6, 2])).astype(np.uint8).reshape(-1)


def _lanes(values: NDArray[np.int64]) -> NDArray[np.uint32]:
    """A word for eight weights of two rows: by inputs 2k and 2k + 1, rotated left by 4k."""
    blocks = _blocks(values, LANE_GROUP)
    pairs = blocks.reshape(*blocks.shape[:2], 2, 2, 4, 2)  # block, group, pair of rows, row, k, half
    lanes = (pairs[:, :, :, 0] + 1) | (pairs[:, :, :, 1] & 3) << 14  # block, group, pair of rows, k, half
    fields = (lanes[..., 0] | lanes[..., 1] << 16).astype(np.uint64)
    k = 4 * np.arange(4, dtype=np.uint64)
    rotated = fields << k | fields >> (np.uint64(32) - k)
    return (np.bitwise_or.reduce(rotated, axis=-1) & np.uint64(0xFFFF_FFFF)).astype(np.uint32).reshape(-1)
