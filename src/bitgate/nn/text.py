"""A classifier of texts: an embedding of the tokens in front of a ``SequenceClassifier``."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from bitgate.errors import ArgumentError
from bitgate.nn.classifier import SequenceClassifier
from bitgate.nn.matrix import require_size

Classifier: TypeAlias = "SequenceClassifier | TextClassifier"


class TextClassifier(nn.Module):
    """Embedding, stacked recurrent layers, and a readout of the hidden state at each document's true end.

    The embedding is continuous, whatever the weights of the layers behind it. Its elements start with deviation 1, as
    standardized features have.

    Args:
        vocabulary_size: number of different tokens.
        n_classes: number of classes.
        hidden_sizes: units of each recurrent layer.
        embedding_size: features of a token.
        options: those of ``SequenceClassifier``: cell, weights, gates, bidirectional, ...; ``dropout`` acts on the
            embedded tokens too.

    Raises:
        ArgumentError: an argument out of range.
    """

    def __init__(
        self,
        vocabulary_size: int,
        n_classes: int,
        hidden_sizes: Sequence[int] = (64,),
        *,
        embedding_size: int = 64,
        **options: Any,
    ) -> None:
        super().__init__()
        require_size("vocabulary_size", vocabulary_size)
        require_size("embedding_size", embedding_size)
        factory = {name: options[name] for name in ("device", "dtype") if name in options}
        self.embedding = nn.Embedding(vocabulary_size, embedding_size, **factory)
        self.dropout = nn.Dropout(options.get("dropout", 0.0))
        self.classifier = SequenceClassifier(embedding_size, n_classes, hidden_sizes, **options)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits ``(B, n_classes)``.

        Args:
            x: token numbers, ``(B, T)`` or ``(B, T, 1)``, of any type that holds them.
            lengths: ``(B,)`` true lengths; all T where None. What lies behind an end is ignored.

        Raises:
            ArgumentError: a PackedSequence.
            ShapeError: an input or length that does not fit.
        """
        if isinstance(x, PackedSequence):
            raise ArgumentError("x: a PackedSequence, expected padded token numbers (B, T) and lengths")
        tokens = x.squeeze(-1) if x.dim() == 3 else x
        logits: Tensor = self.classifier(self.dropout(self.embedding(tokens.long())), lengths)
        return logits
