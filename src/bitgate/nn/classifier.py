"""A classifier of sequences: standardization, stacked recurrent layers, a readout at each sequence's end."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from bitgate.cells import Sharing
from bitgate.errors import ArgumentError, ShapeError
from bitgate.nn.gated_rnn import GatedRNN
from bitgate.nn.gru import GRU
from bitgate.nn.linear import Linear
from bitgate.nn.lstm import LSTM
from bitgate.nn.matrix import require_size
from bitgate.nn.ql_lstm import QLLSTM
from bitgate.nn.recurrent import RecurrentModule
from bitgate.nn.rounding import RoundInput
from bitgate.nn.sequence import check_lengths
from bitgate.weights import Weights

ClassifierCell = Literal["lstm", "gru", "ql_lstm", "gated_rnn"]

_CELLS: dict[str, Any] = {"lstm": LSTM, "gru": GRU, "ql_lstm": QLLSTM, "gated_rnn": GatedRNN}


class Standardize(nn.Module):
    """``(x - mean) / std`` per feature; mean 0 and deviation 1 until ``set`` or ``load_state_dict`` changes them.

    It belongs to the model so that a checkpoint takes raw features, and freezing folds it into the input map.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, size: int, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        require_size("size", size)
        self.register_buffer("mean", torch.zeros(size, device=device, dtype=dtype))
        self.register_buffer("std", torch.ones(size, device=device, dtype=dtype))

    def set(self, mean: Any, std: Any) -> None:
        """Sets mean and standard deviation, each ``(I,)``.

        Raises:
            ShapeError: a wrong shape, or a deviation that is not positive.
        """
        for name, value in (("mean", mean), ("std", std)):
            new = torch.as_tensor(value)
            if new.shape != self.mean.shape or not torch.isfinite(new).all() or (name == "std" and not (new > 0).all()):
                raise ShapeError(f"{name}: expected {len(self.mean)} finite values (std positive), got {value}")
        self.mean.copy_(torch.as_tensor(mean))
        self.std.copy_(torch.as_tensor(std))

    def forward(self, x: Tensor) -> Tensor:
        """``(..., I)`` in the units of the data to unit variance."""
        return (x - self.mean) / self.std


class SequenceClassifier(nn.Module):
    """Stacked recurrent layers and a linear readout of the hidden state at each sequence's true end.

    The architecture of [DLSTM] section 1.1; the defaults are its layout for pen strokes.

    Args:
        input_size: number of features.
        n_classes: number of classes.
        hidden_sizes: units of each recurrent layer.
        cell: "lstm", "gru", "ql_lstm" or "gated_rnn".
        weights: weights of every layer, the readout's too.
        gates: level counts of the gates to discretize, in every layer.
        coupled: whether the forget gate is one minus the input gate (LSTM and QL-LSTM).
        sharing: gate map, see ``QLLSTM``; "auto" is "psug2" for a QL-LSTM and "none" for others.
        skip: additive skip of a QL-LSTM, see there; "auto" is "block".
        block_size: steps of a block.
        forget_bias: initial bias of the forget gate (LSTM and QL-LSTM); drawn where None.
        bidirectional: whether layers also run from the end to the beginning.
        dropout: probability of dropout between recurrent layers.
        state_bits: rounds the hidden states of an LSTM, as in ``LSTM``, and the standardized inputs, as freezing with
            so many bits does; ``calibrate_inputs`` chooses their step.
        device: device of the parameters.
        dtype: type of the parameters.

    Raises:
        ArgumentError: an argument out of range.
    """

    def __init__(
        self,
        input_size: int,
        n_classes: int,
        hidden_sizes: Sequence[int] = (64, 32),
        *,
        cell: ClassifierCell = "lstm",
        weights: str | Weights = "continuous",
        gates: Mapping[str, int] | None = None,
        coupled: bool = False,
        sharing: Sharing = "auto",
        skip: str | None = "auto",
        block_size: int = 16,
        forget_bias: float | None = None,
        bidirectional: bool = False,
        dropout: float = 0.0,
        state_bits: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        own = _own_options(
            cell, coupled=coupled, sharing=sharing, skip=skip, block_size=block_size, forget_bias=forget_bias,
            state_bits=state_bits,
        )  # fmt: skip
        if not isinstance(hidden_sizes, Sequence) or not hidden_sizes:
            raise ArgumentError(f"hidden_sizes: {hidden_sizes!r}, expected the units of at least one layer")
        require_size("input_size", input_size)
        require_size("n_classes", n_classes)
        if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
            raise ArgumentError(f"dropout: {dropout!r}, expected a probability from 0 to below 1")
        common = {"weights": weights, "gates": gates, "batch_first": True, "bidirectional": bidirectional}
        common |= {"device": device, "dtype": dtype}
        self.standardize = Standardize(input_size, device=device, dtype=dtype)
        self.round_input = None if state_bits is None else RoundInput(state_bits, device=device, dtype=dtype)
        layers: list[RecurrentModule] = []
        size = input_size
        for hidden_size in hidden_sizes:
            layers.append(_CELLS[cell](size, hidden_size, **common, **own))
            size = hidden_size * layers[-1].num_directions
        self.layers = nn.ModuleList(layers)
        self.dropout = nn.Dropout(dropout)
        self.readout = Linear(size, n_classes, weights=weights, device=device, dtype=dtype)

    def forward(self, x: Tensor | PackedSequence, lengths: Tensor | None = None) -> Tensor:
        """Logits ``(B, n_classes)``.

        Args:
            x: raw features ``(B, T, I)``, or a PackedSequence.
            lengths: ``(B,)`` true lengths; all T where None. What lies behind an end is ignored.

        Raises:
            ShapeError: an input or length that does not fit.
            ArgumentError: lengths beside a PackedSequence.
        """
        if isinstance(x, PackedSequence):
            if lengths is not None:
                raise ArgumentError("lengths: a PackedSequence carries its own lengths; leave this argument out")
            x, lengths = pad_packed_sequence(x, batch_first=True)
        if x.dim() != 3:
            raise ShapeError(f"x: expected (B, T, {self.standardize.mean.shape[0]}), got shape {tuple(x.shape)}")
        if x.shape[-1] != len(self.standardize.mean):
            raise ShapeError(f"x: expected {len(self.standardize.mean)} features on the last axis, got {x.shape[-1]}")
        ends = None if lengths is None else check_lengths(lengths, batch=x.shape[0], steps=x.shape[1])
        data = self.prepare(x)
        if ends is not None:
            # Not even NaN behind an end may reach a gradient: zero times NaN would.
            steps = torch.arange(x.shape[1], device=x.device)
            data = data.masked_fill((steps >= ends.to(x.device).unsqueeze(1)).unsqueeze(-1), 0.0)
        for index, layer in enumerate(self.layers):
            if index:
                data = self.dropout(data)
            # A causal layer never sees the padding behind an end before that end, so it need not know the lengths.
            data, state = layer(data, lengths=ends if layer.bidirectional else None)
        return self.readout(self._last(data, ends, state))

    def prepare(self, x: Tensor) -> Tensor:
        """Raw features ``(..., I)`` as the first layer takes them: standardized, with ``state_bits`` rounded too."""
        data: Tensor = self.standardize(x)
        return data if self.round_input is None else self.round_input(data)

    def calibrate_inputs(self, x: Tensor) -> None:
        """Chooses the step to which ``state_bits`` rounds inputs, by the error on raw features ``(..., I)``.

        Without ``state_bits`` it does nothing. ``standardize`` comes first: the step is in standard deviations.
        """
        if self.round_input is not None:
            self.round_input.calibrate(self.standardize(x))

    def _last(self, output: Tensor, ends: Tensor | None, state: Any) -> Tensor:
        """Hidden state of the last layer at each sequence's end ``(B, H)``."""
        last = self.layers[-1]
        if last.bidirectional:
            h = state if isinstance(state, Tensor) else state[0]
            return torch.cat([h[0], h[1]], dim=-1)
        if ends is None:
            return output[:, -1]
        return output[torch.arange(len(ends), device=output.device), (ends - 1).to(output.device)]


def _own_options(
    cell: str,
    *,
    coupled: bool,
    sharing: Sharing,
    skip: str | None,
    block_size: int,
    forget_bias: float | None,
    state_bits: int | None,
) -> dict[str, Any]:
    """The arguments that not every cell has, for the cell.

    Raises:
        ArgumentError: an unknown cell, or an option that it does not have.
    """
    if cell not in _CELLS:
        raise ArgumentError(f"cell: {cell!r}, expected one of {', '.join(get_args(ClassifierCell))}")
    if cell in ("gru", "gated_rnn"):
        if coupled:
            name = "a GRU's update gate" if cell == "gru" else "the gate of a gated RNN"
            raise ArgumentError(f"coupled: {name} is coupled already; leave this argument out")
        if forget_bias is not None:
            raise ArgumentError(f"forget_bias: {forget_bias!r}, but cell={cell!r} has no forget gate")
    if cell != "ql_lstm" and skip not in ("auto", "none", None):
        raise ArgumentError(f"skip: {skip!r}, but cell={cell!r} has none; use cell='ql_lstm'")
    if cell != "lstm" and state_bits is not None:
        raise ArgumentError(f"state_bits: {state_bits}, but only cell='lstm' trains with rounded states; leave it out")
    if cell == "lstm":
        if sharing not in ("auto", "none"):
            raise ArgumentError(f"sharing: {sharing!r}, but cell='lstm' has none; use cell='ql_lstm'")
        return {"coupled": coupled, "forget_bias": forget_bias, "state_bits": state_bits}
    shared: dict[str, Any] = {"sharing": ("psug2" if cell == "ql_lstm" else "none") if sharing == "auto" else sharing}
    if cell != "ql_lstm":
        return shared
    skips = {"skip": "block" if skip == "auto" else skip, "block_size": block_size}
    return {"coupled": coupled, "forget_bias": forget_bias, **shared, **skips}
