"""The value that every backend of the loop over time receives."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from bitgate.cells import CELL_GATES, CellKind
from bitgate.gates import GateLevels


class Moments(NamedTuple):
    """Mean and variance of a random weight matrix, for the lr-trick."""

    mean: Tensor
    var: Tensor


Matrix = Tensor | Moments


@dataclass(frozen=True)
class LayerParameters:
    """Parameters of one layer in one direction, scales already multiplied in.

    Rows lie in the cell's gate order. ``bias_hh`` is None where one bias serves both, which a GRU does not allow.
    ``w_hr`` projects the hidden state (LSTM with ``proj_size``).
    """

    w_ih: Matrix  # (gates * H, I)
    w_hh: Matrix  # (gates * H, H or P)
    bias_ih: Tensor | None = None  # (gates * H,)
    bias_hh: Tensor | None = None
    w_hr: Matrix | None = None  # (P, H)

    @property
    def is_random(self) -> bool:
        """Whether some matrix is given by its moments."""
        return any(isinstance(w, Moments) for w in (self.w_ih, self.w_hh, self.w_hr))


@dataclass(frozen=True)
class Recurrence:
    """What the loop computes: the cell and its gates."""

    cell: CellKind
    gates: GateLevels

    @property
    def n_gates(self) -> int:
        """Number of gates, and of row blocks."""
        return len(CELL_GATES[self.cell])

    @property
    def n_preacts(self) -> int:
        """Number of blocks of pre-activations: a GRU's candidate has one of the input and one of the hidden state."""
        return 4 if self.cell == "gru" else self.n_gates

    @property
    def is_smooth(self) -> bool:
        """Whether no gate is discretized."""
        return not any(self.gates)


def noise_shape(recurrence: Recurrence, x: Tensor, params: LayerParameters) -> tuple[int, int, int]:
    """Shape of the lr-trick's noise for all steps and sequences, ``(T, B, n_preacts * H)``.

    Blocks lie in the order of the gates, a GRU's hidden part of n last; behind them P more where ``w_hr`` is random.
    """
    w_hh, w_hr = (w.mean if isinstance(w, Moments) else w for w in (params.w_hh, params.w_hr))
    assert w_hh is not None
    size = w_hh.shape[0] // recurrence.n_gates * recurrence.n_preacts
    size += w_hr.shape[0] if w_hr is not None and isinstance(params.w_hr, Moments) else 0
    return x.shape[0], x.shape[1], size


class LoopResult(NamedTuple):
    """Result of a loop over time: outputs ``(T, B, H)``, last ``h`` ``(B, H)``, last ``c`` (None for a GRU)."""

    output: Tensor
    h: Tensor
    c: Tensor | None
