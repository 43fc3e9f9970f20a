"""GRU: a drop-in for torch.nn.GRU whose weights and gates may be discrete."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from bitgate.cells import Sharing
from bitgate.nn.recurrent import RecurrentModule
from bitgate.weights import Weights


class GRU(RecurrentModule):
    """Gated recurrent unit.

    With the defaults it equals torch.nn.GRU in outputs, states, gradients and state_dict. Gates lie in the order
    r, z, n.

        r, z = sigmoid(s (W_ih x + W_hh h) + b_ih + b_hh)
        n = tanh(s W_ih x + b_ih + r (s W_hh h + b_hh))
        h' = (1 - z) n + z h

    The update gate couples old and new state by itself, so there is no ``coupled``; otherwise the arguments are those
    of ``LSTM`` without ``proj_size``, and ``gates`` takes the letters r, z, n. With ``sharing="psug2"`` (one projection
    for r and z, one for n), "psug1" (one for all) or a mapping, ``gate_scale_k u_map(k)`` takes the place of ``s W``
    in each part ([QL] PSUG; our definition, see ``QLLSTM``).

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
        device: Any = None,
        dtype: Any = None,
        *,
        weights: str | Weights = "continuous",
        gates: Mapping[str, int] | None = None,
        sharing: Sharing = "none",
    ) -> None:
        super().__init__(
            "gru",
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
        )

    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None, *, lengths: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Runs whole sequences; as ``LSTM.forward``, with the one state ``h``."""
        found = self._run(input, lengths, None if hx is None else (hx,))
        return found.output, found.h

    def _state_sizes(self) -> tuple[int, ...]:
        return (self.hidden_size,)
