"""Additions, multiplications and look-ups of one time step, counted from the formulas of docs/arithmetic.md.

A subtraction is an addition, and so is the half that is added before a rounding shift. Shifts, comparisons, clips,
changes of sign and a loop's addresses do not count. Where a branch decides, the longer way counts.
"""

from collections.abc import Collection
from dataclasses import dataclass

from bitgate.frozen.record import SKIP_CELLS, TANH_GATES, FrozenLayer, PackedMatrix


@dataclass(frozen=True)
class Operations:
    """Numbers of operations; a look-up reads one entry of a table at a place that the data decide."""

    additions: int = 0
    multiplications: int = 0
    lookups: int = 0

    def __add__(self, other: "Operations") -> "Operations":
        return Operations(
            self.additions + other.additions,
            self.multiplications + other.multiplications,
            self.lookups + other.lookups,
        )

    def __mul__(self, count: int) -> "Operations":
        return Operations(self.additions * count, self.multiplications * count, self.lookups * count)


SMOOTH = Operations(additions=4, multiplications=1, lookups=2)
"""S(u): difference of two entries, times the fraction, half, lower entry, 1 - s for a negative u."""

SCALED_ROW = Operations(additions=2, multiplications=2)
"""A row's two sums times their multipliers, and half."""

# Products of each cell by their factors ("c", "t", "p": state, its tanh, GRU's recurrent part), and its additions:
# of c' and h' (LSTM), with 1 - i (coupled), with p_x + r p_h (GRU).
_PRODUCTS = {
    "lstm": ("fc", "ig", "ot"),
    "coupled_lstm": ("ic", "ig", "ot"),
    "gru": ("rp", "zc", "zn"),
    "gated_rnn": ("zc", "zn"),
}
_STATE_ADDITIONS = {"lstm": 2 + 2, "coupled_lstm": 3 + 2, "gru": 2 + 3 + 1, "gated_rnn": 3 + 1}

SKIP = Operations(additions=2, multiplications=1)
"""A block skip's share of a unit at a boundary: alpha times the anchor, half, and the sum."""


def needed_sums(matrix: PackedMatrix) -> Operations:
    """What a product with ``matrix`` needs: an addition per weight that is not 0, a product per weight beyond 1."""
    magnitude = abs(matrix.values.astype(int))
    return Operations(int((magnitude > 0).sum()), int((magnitude > 1).sum()))


def gates_and_state(layer: FrozenLayer, state_bits: int, selects: Collection[str]) -> Operations:
    """Everything behind the scaled sums: biases, gates, states.

    Args:
        layer: the layer.
        state_bits: bits of its hidden state.
        selects: gates whose products are selections: those with two levels, or none for a kernel that multiplies.
    """
    unit = Operations(additions=_STATE_ADDITIONS[layer.cell])
    if layer.cell in SKIP_CELLS:
        unit += SMOOTH  # tanh(c)
    else:
        unit += Operations(additions=-(state_bits == 16))  # c is h at 16 bits, without rounding
    if layer.bias_hn is not None:
        unit += Operations(additions=1)
    if layer.skip is not None:
        unit += SKIP
    for gate, levels in zip(layer.gates, layer.gate_levels, strict=True):
        unit += Operations(additions=1 + (gate in TANH_GATES)) + activation(levels)
    products = [pair for pair in _PRODUCTS[layer.cell] if not set(pair) & set(selects)]
    return (unit + Operations(multiplications=len(products))) * layer.hidden_size


def activation(levels: int) -> Operations:
    """One gate value: interpolation, nothing for a step, or thresholds by bisection and a value."""
    if levels == 0:
        return SMOOTH
    return Operations() if levels == 2 else Operations(lookups=(levels - 1).bit_length() + 1)


def needed_operations(layer: FrozenLayer, state_bits: int) -> Operations:
    """What one step of ``layer`` needs at least: zeros and products with step gates cost nothing.

    Sums of shared projections are made once and scaled for every gate.
    """
    stepped = [gate for gate, levels in zip(layer.gates, layer.gate_levels, strict=True) if levels == 2]
    sums = needed_sums(layer.w_ih) + needed_sums(layer.w_hh) + SCALED_ROW * layer.bias.size
    return sums + gates_and_state(layer, state_bits, stepped)
