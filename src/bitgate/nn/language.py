"""A language model: embedding, recurrent layers, and a prediction of the next token at every step."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from bitgate.errors import ArgumentError, ShapeError
from bitgate.nn.classifier import SequenceClassifier
from bitgate.nn.linear import Linear
from bitgate.nn.matrix import require_size
from bitgate.nn.skip import QLState

State = tuple[Any, ...]
"""The state of every layer, in the form in which the layer gives and takes it."""


class LanguageModel(nn.Module):
    """Tokens to the logits of the token that follows each, with a state that goes on in the next call.

    Layers and readout are those of a ``SequenceClassifier`` whose classes are the tokens. The embedding is continuous.

    Args:
        vocabulary_size: number of different tokens.
        hidden_sizes: units of each recurrent layer.
        embedding_size: features of a token.
        tied: whether the readout's weights are the embedding's; they are continuous then, and the last layer
            has ``embedding_size`` units.
        options: those of ``SequenceClassifier`` but for ``bidirectional``: cell, weights, gates, dropout, ...

    Raises:
        ArgumentError: an argument out of range.
    """

    def __init__(
        self,
        vocabulary_size: int,
        hidden_sizes: Sequence[int] = (128,),
        *,
        embedding_size: int = 128,
        tied: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        require_size("vocabulary_size", vocabulary_size)
        require_size("embedding_size", embedding_size)
        if options.get("bidirectional"):
            raise ArgumentError("bidirectional: True, but a language model must not see what it predicts")
        if tied and hidden_sizes[-1] != embedding_size:
            raise ArgumentError(
                f"tied: the last layer has {hidden_sizes[-1]} units and a token {embedding_size} features; "
                "make them equal, or leave tied out"
            )
        factory = {name: options[name] for name in ("device", "dtype") if name in options}
        self.embedding = nn.Embedding(vocabulary_size, embedding_size, **factory)
        stack = SequenceClassifier(embedding_size, vocabulary_size, hidden_sizes, **options)
        self.layers, self.readout = stack.layers, stack.readout
        self.dropout = nn.Dropout(options.get("dropout", 0.0))
        self.tied = bool(tied)
        nn.init.normal_(self.embedding.weight, std=embedding_size**-0.5 if tied else 1.0)
        if tied:
            self.readout = Linear(embedding_size, vocabulary_size, **factory)
            weight = self.embedding.weight
            assert isinstance(weight, nn.Parameter)
            self.readout.weight = weight

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits ``(B, T, vocabulary)`` of the next tokens, and the state behind the last step.

        Args:
            tokens: ``(B, T)`` integers.
            state: what an earlier call returned; a new text where None.

        Raises:
            ShapeError: tokens or a state that do not fit.
        """
        if tokens.dim() != 2 or tokens.is_floating_point():
            raise ShapeError(f"tokens: expected integers (B, T), got {tokens.dtype} of shape {tuple(tokens.shape)}")
        if state is not None and len(state) != len(self.layers):
            raise ShapeError(f"state: expected that of {len(self.layers)} layers, got {len(state)}")
        data = self.dropout(self.embedding(tokens))
        states: list[Any] = []
        for index, layer in enumerate(self.layers):
            data, last = layer(data, None if state is None else state[index])
            data = self.dropout(data)
            states.append(last)
        return self.readout(data), tuple(states)


def detach(state: State) -> State:
    """The same state, through which no gradient flows: the cut of truncated back-propagation."""
    return tuple(_detach(layer) for layer in state)


def _detach(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, QLState):
        h, c = state
        anchor, position = (None if part is None else part.detach() for part in (state.anchor, state.position))
        return QLState(h.detach(), c.detach(), anchor, position)
    return tuple(part.detach() for part in state)
