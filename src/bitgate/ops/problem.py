"""The value that every backend of the loop over time receives."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

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

    Rows lie in the cell's gate order, or in the order of the shared projections ([QL] section 2.2): then gate g has
    the pre-activation ``gate_scale_g * u_map(g) + bias_g``. ``bias_hh`` is None where one bias serves both, which a GRU
    does not allow. ``w_hr`` projects the hidden state (LSTM with ``proj_size``).
    """

    w_ih: Matrix  # (gates * H, I), or (projections * H, I)
    w_hh: Matrix  # (gates * H, H or P), or (projections * H, H)
    bias_ih: Tensor | None = None  # (gates * H,)
    bias_hh: Tensor | None = None
    w_hr: Matrix | None = None  # (P, H)
    gate_scale: Tensor | None = None  # (gates * H,): given exactly where projections are shared
    skip_scale: Tensor | None = None  # () or (H,), alpha of the additive skip: given exactly where there is one

    @property
    def is_random(self) -> bool:
        """Whether some matrix is given by its moments."""
        return any(isinstance(w, Moments) for w in (self.w_ih, self.w_hh, self.w_hr))


@dataclass(frozen=True)
class Skip:
    """Additive skip of hidden states ([QL] HGR-ASC; the definition is ours), for cells of the LSTM family.

    "block": at steps B = ``block_size``, 2 B, ... of a sequence ``h_t = o tanh(c_t) + alpha h_{t-B}``, elsewhere
    ``h_t = o tanh(c_t)``. "step": ``h_t = f' h_{t-1} + (1 - f) o tanh(c_t) + alpha h_{t-1}`` at every step, with
    ``f' = (1 - alpha) f`` where ``is_bounded``, else f.
    """

    kind: Literal["block", "step"]
    block_size: int = 1
    is_bounded: bool = True


@dataclass(frozen=True)
class Recurrence:
    """What the loop computes: the cell, its gates, which projection feeds which gate, and the skip."""

    cell: CellKind
    gates: GateLevels
    sharing: tuple[int, ...] | None = None  # projection of each gate; None: each gate has its own, without gate_scale
    skip: Skip | None = None

    @property
    def n_gates(self) -> int:
        """Number of gates."""
        return len(CELL_GATES[self.cell])

    @property
    def n_projections(self) -> int:
        """Number of row blocks of the weights."""
        return self.n_gates if self.sharing is None else max(self.sharing) + 1

    @property
    def n_preacts(self) -> int:
        """Number of blocks that the lr-trick draws.

        One of each projection. A GRU's candidate has one of the input and one of the hidden state, and so has each of
        its projections where they are shared.
        """
        if self.cell == "gru":
            return 4 if self.sharing is None else 2 * self.n_projections
        return self.n_projections

    @property
    def is_smooth(self) -> bool:
        """Whether no gate is discretized."""
        return not any(self.gates)


def noise_shape(recurrence: Recurrence, x: Tensor, params: LayerParameters) -> tuple[int, int, int]:
    """Shape of the lr-trick's noise for all steps and sequences, ``(T, B, n_preacts * H)``.

    Blocks lie in the order of the gates, a GRU's hidden part of n last; in the order of the projections where they are
    shared, of a GRU all of the input, then all of the hidden state. P more follow where ``w_hr`` is random.
    """
    w_hh, w_hr = (w.mean if isinstance(w, Moments) else w for w in (params.w_hh, params.w_hr))
    assert w_hh is not None
    size = w_hh.shape[0] // recurrence.n_projections * recurrence.n_preacts
    size += w_hr.shape[0] if w_hr is not None and isinstance(params.w_hr, Moments) else 0
    return x.shape[0], x.shape[1], size


def next_position(skip: Skip | None, position: Tensor | None, lengths: Tensor | None, steps: int) -> Tensor | None:
    """Where in a block each sequence stands behind ``steps`` steps, or behind its own end."""
    if skip is None or position is None:
        return None
    run = steps if lengths is None else lengths.to(position).clamp_max(steps)
    return (position + run) % skip.block_size


class LoopResult(NamedTuple):
    """Result of a loop over time: outputs ``(T, B, H)``, last ``h`` ``(B, H)``, last ``c`` (None for a GRU).

    With a block skip also ``anchor``, h at the last block boundary (the initial h before the first), and ``position``,
    the steps run since then: what a continuation needs, so that any chunking gives the same.
    """

    output: Tensor
    h: Tensor
    c: Tensor | None
    anchor: Tensor | None = None  # (B, H)
    position: Tensor | None = None  # (B,) int64 on the CPU, 0 to block_size - 1
