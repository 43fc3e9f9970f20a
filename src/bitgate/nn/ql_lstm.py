"""QL-LSTM: an LSTM whose gates share projections and whose hidden state takes an additive skip."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from bitgate.cells import Sharing
from bitgate.errors import ArgumentError
from bitgate.nn.recurrent import RecurrentModule
from bitgate.nn.skip import QLState, block_parts
from bitgate.weights import Weights


class QLLSTM(RecurrentModule):
    """LSTM with unified gating and an additive skip ([QL] PSUG and HGR-ASC).

    The paper's equations could not be had; these are our definition. P shared projections feed all gates:

        u_p = W_ih_p x + W_hh_p h               p < P; the weights have P H rows
        a_k = gate_scale_k u_map(k) + bias_k    k in i, f, g, o (i, g, o if coupled)
        c' = f c + i g                          n = o tanh(c')

    ``skip="block"``: ``h' = n + alpha anchor`` and ``anchor = h'`` at every ``block_size``-th step of a sequence,
    ``h' = n`` elsewhere; then ``|h| <= 1 / (1 - alpha)``, and with alpha = 1 it grows by at most 1 a block.
    ``skip="step"``: ``h' = (1 - alpha) f h + (1 - f) n + alpha h``, with the same bound. ``skip="step-raw"``:
    ``h' = f h + (1 - f) n + alpha h``, which grows without bound wherever f + alpha > 1, and warns. ``skip=None``:
    ``h' = n``.

    With ``sharing="none"`` and ``skip=None`` it equals torch.nn.LSTM, state_dict included. With discrete ``weights``
    ``gate_scale`` takes the place of the learned scale.

    Args:
        input_size: number of features.
        hidden_size: number of units.
        num_layers: layers stacked on each other.
        bias: whether gates have a bias (one, ``bias_l0``, where projections are shared).
        batch_first: whether input and output are ``(B, T, I)``; never applies to states.
        dropout: probability of dropout after every layer but the last.
        bidirectional: whether to add layers that run from the end to the beginning.
        proj_size: 0; here because torch.nn.LSTM has it in this place.
        device: device of the parameters.
        dtype: type of the parameters.
        weights: "continuous", "ternary", "binary" or an object of bitgate.weights.
        gates: level counts of the gates to discretize, for instance ``{"o": 2, "g": 2}``.
        coupled: whether ``f = 1 - i``.
        sharing: "psug2" (one projection for i, f, o, one for g), "psug1" (one for all: the gates of a unit then
            move with one number), "none", or a mapping of gate letters to projections.
        skip: "block", "step", "step-raw" or None.
        block_size: steps of a block.
        skip_scale: a fixed alpha in (0, 1]; learned through a sigmoid (``skip_logit_l0``) where None.
        skip_per_unit: whether a learned alpha is one a unit instead of one a layer.
        forget_bias: initial bias of the forget gate (its negative on a coupled cell's input gate); drawn where None.

    Raises:
        ArgumentError: an argument out of range.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        weights: str | Weights = "continuous",
        gates: Mapping[str, int] | None = None,
        coupled: bool = False,
        sharing: Sharing = "psug2",
        skip: str | None = "block",
        block_size: int = 16,
        skip_scale: float | None = None,
        skip_per_unit: bool = False,
        forget_bias: float | None = None,
    ) -> None:
        if proj_size:
            raise ArgumentError(f"proj_size: {proj_size!r}, but a QLLSTM has no projection of its state; leave it at 0")
        super().__init__(
            "coupled_lstm" if coupled else "lstm",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
            weights=weights,
            gates=gates,
            sharing=sharing,
            skip=skip,
            block_size=block_size,
            skip_scale=skip_scale,
            skip_per_unit=skip_per_unit,
            forget_bias=forget_bias,
        )

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: tuple[Tensor, Tensor] | None = None,
        *,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, QLState]:
        """Runs whole sequences; as ``LSTM.forward``.

        Args:
            input: ``(T, B, I)``, ``(B, T, I)`` if ``batch_first``, ``(T, I)`` unbatched, or a PackedSequence.
            hx: the state that an earlier call returned, which goes on within its block; a plain pair ``(h_0, c_0)``
                begins a new one; zeros where None.
            lengths: ``(B,)`` true lengths of a padded input; states end there and outputs behind are zero.

        Returns:
            The output in the form of the input, and the state: the pair ``(h_n, c_n)`` with ``anchor`` and
            ``position``.

        Raises:
            ShapeError: an input, state or length that does not fit.
        """
        if hx is not None and (not isinstance(hx, tuple | list) or len(hx) != 2):
            raise ArgumentError(f"hx: expected the pair (h_0, c_0), got {type(hx).__name__}")
        found = self._run(input, lengths, None if hx is None else tuple(hx), *block_parts(hx))
        assert found.c is not None  # an LSTM has a cell state
        return found.output, QLState(found.h, found.c, found.anchor, found.position)

    def _state_sizes(self) -> tuple[int, ...]:
        return self.hidden_size, self.hidden_size
