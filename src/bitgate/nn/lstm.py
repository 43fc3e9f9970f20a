"""LSTM: a drop-in for torch.nn.LSTM whose weights and gates may be discrete."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from bitgate.errors import ArgumentError
from bitgate.nn.recurrent import RecurrentModule
from bitgate.weights import Weights


class LSTM(RecurrentModule):
    """Long short-term memory.

    With the defaults it equals torch.nn.LSTM in outputs, states, gradients and state_dict; the positional
    arguments are torch's. Gates lie in the order i, f, g, o.

        i, f, o = sigmoid(a)    g = tanh(a)    a = s (W_ih x + W_hh h) + b
        c' = f c + i g          h' = o tanh(c')

    With discrete ``weights`` every gate and layer has one learned positive scale ``s`` ([DLSTM] section 1.1). With
    ``coupled=True``, ``f = 1 - i``: the parameters have 3 H rows (i, g, o) and one bias, ``bias_l0``.

    While training, discrete weights are drawn once per call; in ``eval()`` the most probable weights (MAP) act.

    Args:
        input_size: number of features.
        hidden_size: number of units.
        num_layers: layers stacked on each other.
        bias: whether gates have a bias.
        batch_first: whether input and output are ``(B, T, I)``; never applies to states.
        dropout: probability of dropout after every layer but the last.
        bidirectional: whether to add layers that run from the end to the beginning.
        proj_size: size of a projection of the hidden state, 0 for none.
        device: device of the parameters.
        dtype: type of the parameters.
        weights: "continuous", "ternary", "binary" or an object of bitgate.weights.
        gates: level counts of the gates to discretize, for instance ``{"o": 2, "g": 2}``.
        coupled: whether ``f = 1 - i``.
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
        forget_bias: float | None = None,
    ) -> None:
        super().__init__(
            "coupled_lstm" if coupled else "lstm",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
            weights=weights,
            gates=gates,
            forget_bias=forget_bias,
        )

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: tuple[Tensor, Tensor] | None = None,
        *,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, Tensor]]:
        """Runs whole sequences.

        Args:
            input: ``(T, B, I)``, ``(B, T, I)`` if ``batch_first``, ``(T, I)`` unbatched, or a PackedSequence.
            hx: ``h_0 (layers * directions, B, H or P)`` and ``c_0 (layers * directions, B, H)``; zero where None.
            lengths: ``(B,)`` true lengths of a padded input; states end there and outputs behind are zero.

        Returns:
            The output in the form of the input, directions side by side, and ``(h_n, c_n)``.

        Raises:
            ShapeError: an input, state or length that does not fit.
        """
        if hx is not None and (not isinstance(hx, tuple | list) or len(hx) != 2):
            raise ArgumentError(f"hx: expected the pair (h_0, c_0), got {type(hx).__name__}")
        found = self._run(input, lengths, None if hx is None else tuple(hx))
        assert found.c is not None  # an LSTM has a cell state
        return found.output, (found.h, found.c)

    def _state_sizes(self) -> tuple[int, ...]:
        return self.output_size, self.hidden_size
