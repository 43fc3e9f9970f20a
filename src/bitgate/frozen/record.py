"""The parts of a frozen model: immutable records of integer arrays, checked when they are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bitgate.frozen.matrix import PackedMatrix as PackedMatrix
from bitgate.frozen.matrix import require as require
from bitgate.frozen.matrix import require_array

CELLS: Mapping[str, str] = {"lstm": "ifgo", "coupled_lstm": "igo", "gru": "rzn", "gated_rnn": "zn"}
"""Cells and the order of their gates' rows."""

SKIP_CELLS = frozenset({"lstm", "coupled_lstm"})
"""Cells that may have a block skip."""

MAX_BLOCK_SIZE = 32767
"""The position within a block is one int16 of the state."""

TANH_GATES = frozenset("gn")
"""Gates with values in [-1, 1]; their pre-activations carry a factor 2."""

BIAS_UNIT = 8
"""Q12 in Q15: what biases are multiples of where freezing has rounded them (docs/arithmetic.md, Pre-activation)."""


@dataclass(frozen=True, eq=False)
class BlockSkip:
    """Additive skip of hidden states from one block boundary to the next (docs/arithmetic.md, Block skip)."""

    block_size: int  # B, steps
    alpha: NDArray[np.int32]  # (1,) or (H,), Q15, 0 to 32768
    range_bits: int  # k: hidden states reach 2**k and keep n - 1 - k bits behind the point

    def __post_init__(self) -> None:
        require(
            1 <= self.block_size <= MAX_BLOCK_SIZE, f"block_size: {self.block_size}, expected 1 to {MAX_BLOCK_SIZE}"
        )
        require(0 <= self.range_bits <= 12, f"range_bits: {self.range_bits}, expected 0 to 12")
        require_array("alpha", self.alpha, np.int32, (self.alpha.size,))
        lowest, highest = (int(value) for value in (self.alpha.min(), self.alpha.max()))
        require(0 <= lowest <= highest <= 1 << 15, f"alpha: {lowest} to {highest}, expected 0 to 32768 (Q15)")


@dataclass(frozen=True, eq=False)
class FrozenLayer:
    """One recurrent layer in one direction (docs/arithmetic.md names every constant).

    The weights have a block of rows for each projection; ``sharing`` says which one feeds which gate.
    """

    cell: str
    gate_levels: tuple[int, ...]  # by gate, in row order; 0 is smooth
    w_ih: PackedMatrix  # (projections * H, I)
    w_hh: PackedMatrix  # (projections * H, H)
    mult_ih: NDArray[np.int32]  # (gates,) or (gates * H,)
    mult_hh: NDArray[np.int32]
    shift: NDArray[np.int32]  # (gates,)
    bias: NDArray[np.int32]  # (gates * H,)
    bias_hn: NDArray[np.int32] | None  # (H,): GRU only
    product_bits: int
    reverse: bool = False
    sharing: tuple[int, ...] | None = None  # projection of each gate; None: each gate its own
    skip: BlockSkip | None = None

    def __post_init__(self) -> None:
        require(self.cell in CELLS, f"cell: {self.cell!r}, expected one of {sorted(CELLS)}")
        gates = len(CELLS[self.cell])
        self._check_sharing(gates)
        rows = self.w_hh.columns * gates
        require(self.w_hh.columns > 0 and self.w_ih.columns > 0, "a layer needs at least one input and one unit")
        weight_rows = self.w_hh.columns * self.n_projections
        require(
            self.w_ih.rows == weight_rows and self.w_hh.rows == weight_rows,
            f"{self.cell}: {self.n_projections} projections of {self.w_hh.columns} units need {weight_rows} rows, "
            f"got {self.w_ih.rows} (w_ih) and {self.w_hh.rows} (w_hh)",
        )
        require(
            len(self.gate_levels) == gates and all(n == 0 or 2 <= n <= 256 for n in self.gate_levels),
            f"gate_levels: {self.gate_levels}, expected {gates} values, each 0 (smooth) or 2 to 256",
        )
        require_array("mult_ih", self.mult_ih, np.int32, (gates,), (rows,))
        require_array("mult_hh", self.mult_hh, np.int32, self.mult_ih.shape)
        require_array("shift", self.shift, np.int32, (gates,))
        require_array("bias", self.bias, np.int32, (rows,))
        require((self.bias_hn is not None) == (self.cell == "gru"), "bias_hn: given exactly for a GRU")
        if self.bias_hn is not None:
            require_array("bias_hn", self.bias_hn, np.int32, (self.hidden_size,))
        require(self.product_bits in (32, 64), f"product_bits: {self.product_bits}, expected 32 or 64")
        highest = self.product_bits - 2
        require(
            bool(((self.shift >= 1) & (self.shift <= highest)).all()),
            f"shift: {self.shift.tolist()}, expected 1 to {highest}",
        )
        if self.skip is not None:
            require(self.cell in SKIP_CELLS, f"skip: {self.cell} has none, only {' and '.join(sorted(SKIP_CELLS))}")
            require_array("alpha", self.skip.alpha, np.int32, (1,), (self.hidden_size,))

    def _check_sharing(self, gates: int) -> None:
        if self.sharing is None:
            return
        require(
            len(self.sharing) == gates and sorted(set(self.sharing)) == list(range(max(self.sharing) + 1)),
            f"sharing: {self.sharing}, expected {gates} projections, numbered from 0 without gaps",
        )

    @property
    def gates(self) -> str:
        """Letters of the gates in row order."""
        return CELLS[self.cell]

    @property
    def hidden_size(self) -> int:
        """Number of units, H."""
        return self.w_hh.columns

    @property
    def input_size(self) -> int:
        """Number of inputs, I."""
        return self.w_ih.columns

    @property
    def projections(self) -> tuple[int, ...]:
        """The projection that feeds each gate."""
        return tuple(range(len(self.gates))) if self.sharing is None else self.sharing

    @property
    def n_projections(self) -> int:
        """Number of row blocks of the weights."""
        return max(self.projections) + 1

    @property
    def is_shared(self) -> bool:
        """Whether the projections are not simply the gates in their order."""
        return self.projections != tuple(range(len(self.gates)))

    @cached_property
    def weight_rows(self) -> NDArray[np.int64]:
        """The row of the weights behind each row of the gates, ``(gates * H,)``."""
        units = np.arange(self.hidden_size)
        return np.concatenate([projection * self.hidden_size + units for projection in self.projections])

    def by_row(self, mult: NDArray[np.int32]) -> NDArray[np.int32]:
        """``mult_ih`` or ``mult_hh`` for every row of the gates."""
        return np.repeat(mult, len(self.gates) * self.hidden_size // len(mult))

    @property
    def has_short_biases(self) -> bool:
        """Whether every bias is an int16 in Q12."""
        return is_short_bias(self.bias)

    @property
    def range_bits(self) -> int:
        """k: hidden states reach ``2**k``; 0 without a skip."""
        return 0 if self.skip is None else self.skip.range_bits

    @property
    def state_size(self) -> int:
        """Number of int16 in the state: ``h`` and ``c``; with a skip also the anchor and the position."""
        return 2 * self.hidden_size if self.skip is None else 3 * self.hidden_size + 1


def is_short_bias(bias: NDArray[np.signedinteger]) -> bool:
    """Whether all of ``bias``, in Q15, are int16 in Q12."""
    short = bias // BIAS_UNIT
    return bool(((short * BIAS_UNIT == bias) & (short == short.astype(np.int16))).all())


@dataclass(frozen=True, eq=False)
class InputMap:
    """Affine map of raw features to integers: ``floor((x - mean) * gain + 0.5)`` in float32, then a clip."""

    mean: NDArray[np.float32]  # (I,) in the units of the data
    gain: NDArray[np.float32]  # (I,)

    def __post_init__(self) -> None:
        shape = (len(self.mean),)
        require_array("mean", self.mean, np.float32, shape)
        require_array("gain", self.gain, np.float32, shape)
        finite = np.isfinite(self.mean).all() and np.isfinite(self.gain).all()
        require(bool(finite), "input map: mean and gain must be finite")


@dataclass(frozen=True, eq=False)
class Readout:
    """Linear layer on the last hidden state; ``scale`` times an integer logit is the real logit."""

    weight: PackedMatrix  # (classes, H)
    mult: NDArray[np.int32]  # (1,) or (classes,)
    bias: NDArray[np.int32]  # (classes,)
    scale: float

    def __post_init__(self) -> None:
        require(self.weight.rows > 0, "readout: needs at least one class")
        require_array("mult", self.mult, np.int32, (1,), (self.weight.rows,))
        require_array("bias", self.bias, np.int32, (self.weight.rows,))
        require(np.isfinite(self.scale) and self.scale > 0, f"scale: {self.scale}, expected a positive number")
