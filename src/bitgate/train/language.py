"""Language models: batches of a stream, truncated back-propagation with the state carried on, perplexity."""

import math
from collections.abc import Iterator
from typing import Any

import lightning
import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.utils import data

from bitgate.data.text.corpus import Corpus
from bitgate.data.text.vocabulary import Tokens
from bitgate.errors import DataError
from bitgate.nn import LanguageModel, detach, fix_weights, mean_entropy_bits
from bitgate.train.config import FitConfig
from bitgate.train.module import make_optimizer

Batch = tuple[Tensor, Tensor]


class StreamBatches(data.Dataset[Batch]):
    """A stream cut into ``rows`` parallel parts, read ``steps`` tokens at a time: inputs and next tokens ``(B, T)``.

    Batch k + 1 goes on where batch k ended, row by row. What does not fill the rows is left out.

    Raises:
        DataError: fewer than two tokens for every row.
    """

    def __init__(self, tokens: Tokens, rows: int, steps: int) -> None:
        columns = (len(tokens) - 1) // rows
        if columns < 1:
            raise DataError(f"{len(tokens)} tokens are too few for {rows} rows (batch_size); take a smaller batch")
        self._tokens = tokens
        self._columns = columns
        self._rows = rows
        self._steps = steps

    def __len__(self) -> int:
        return -(-self._columns // self._steps)

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        begin = index * self._steps
        end = min(begin + self._steps, self._columns)
        places = np.arange(self._rows)[:, None] * self._columns + np.arange(begin, end + 1)
        block = torch.from_numpy(self._tokens[places].astype(np.int64))
        return block[:, :-1], block[:, 1:]

    def __iter__(self) -> Iterator[Batch]:
        return (self[index] for index in range(len(self)))


class StreamData(lightning.LightningDataModule):
    """Training, validation and test stream of a corpus as ``StreamBatches``."""

    def __init__(self, corpus: Corpus, batch_size: int, steps: int) -> None:
        super().__init__()
        self.corpus = corpus
        self.batch_size = batch_size
        self.steps = steps

    def train_dataloader(self) -> data.DataLoader[Batch]:
        """The training stream from its beginning."""
        return _loader(StreamBatches(self.corpus.train, self.batch_size, self.steps))

    def val_dataloader(self) -> data.DataLoader[Batch]:
        """The validation stream."""
        return _loader(evaluation_batches(self.corpus.val, self.steps))


def evaluation_batches(tokens: Tokens, steps: int) -> StreamBatches:
    """Few rows, so that little is predicted without a past."""
    return StreamBatches(tokens, max(1, min(16, len(tokens) // 500)), steps)


def _loader(batches: StreamBatches) -> data.DataLoader[Batch]:
    return data.DataLoader(batches, batch_size=None, shuffle=False, num_workers=0)


class LanguageTraining(lightning.LightningModule):
    """Trains a ``LanguageModel`` by the cross-entropy of the next token.

    The state goes from batch to batch, but no gradient does (truncated back-propagation); an epoch begins without
    one. The random generator is seeded anew at each epoch's first batch, as for classifiers.
    """

    def __init__(self, model: LanguageModel, config: FitConfig) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self._state: Any = None
        self._network: LanguageModel | None = None
        self._sums = (0.0, 0)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam, as for classifiers."""
        return make_optimizer(self.model, self.config)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Begins an epoch: seed, and no state."""
        if batch_idx == 0:
            torch.manual_seed((self.config.seed << 20) + self.current_epoch)
            self._state = None

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one piece of the stream."""
        tokens, following = batch
        logits, state = self.model(tokens, self._state)
        self._state = detach(state)
        loss = F.cross_entropy(logits.flatten(0, 1), following.flatten())
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=following.numel())
        return loss

    def on_validation_epoch_start(self) -> None:
        """Fixes the most probable network, which begins without a state."""
        self._network, self._sums, self._validation_state = fix_weights(self.model), (0.0, 0), None

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Sums the losses of one piece."""
        assert self._network is not None
        loss, self._validation_state = piece_loss(self._network, batch, self._validation_state)
        self._sums = (self._sums[0] + loss, self._sums[1] + batch[1].numel())

    def on_validation_epoch_end(self) -> None:
        """Logs the perplexity."""
        self.log("val_perplexity", math.exp(self._sums[0] / self._sums[1]))
        entropy = mean_entropy_bits(self.model)
        if entropy is not None:
            self.log("entropy_bits", entropy)
        self._network = None


def piece_loss(model: LanguageModel, batch: Batch, state: Any) -> tuple[float, Any]:
    """Sum of the next tokens' losses in nats over one piece, and the state behind it."""
    tokens, following = batch
    logits, state = model(tokens, state)
    return float(F.cross_entropy(logits.flatten(0, 1), following.flatten(), reduction="sum")), state


@torch.no_grad()
def perplexity(model: LanguageModel, tokens: Tokens, *, steps: int = 64) -> float:
    """``exp`` of the mean loss of every next token in nats, per token of the vocabulary, by the most probable weights.

    Perplexities of different vocabularies cannot be compared.
    """
    network = fix_weights(model)
    total, count, state = 0.0, 0, None
    for batch in evaluation_batches(tokens, steps):
        loss, state = piece_loss(network, batch, state)
        total, count = total + loss, count + batch[1].numel()
    return math.exp(total / count)
