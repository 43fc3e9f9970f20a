"""GatedRNN: a GRU without its reset gate."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from bitgate.cells import Sharing
from bitgate.nn.recurrent import RecurrentModule
from bitgate.weights import Weights


class GatedRNN(RecurrentModule):
    """The simple gated RNN (our definition): one gate, one state.

        z = sigmoid(a_z)    n = tanh(a_n)    a = s (W_ih x + W_hh h) + b
        h' = (1 - z) n + z h

    Gates lie in the order z, n; parameters have 2 H rows and one bias, ``bias_l0``. ``sharing`` makes them share
    projections as in ``QLLSTM`` ("psug1": both gates move with one number; "psug2" differs from "none" by the
    gates' scales alone). The other arguments are those of ``GRU``.

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
            "gated_rnn",
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
