"""Batches of a data set as tensors, for Lightning. Needs torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeAlias

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils import data

from bitgate.data.batches import LengthBatches, TrainBatches, check_batch_size, fitting_size
from bitgate.data.sequences import Dataset, Sequences
from bitgate.errors import ArgumentError

Batch: TypeAlias = tuple[torch.Tensor, ...]  # x, lengths, labels, and targets where there are some

_RESIDENT_BYTES = 2**30


class _IndexBatches(Protocol):
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[NDArray[np.int64]]: ...


class PaddedBatches(data.Dataset[Batch]):
    """Sequences addressed by a whole batch of indices at a time.

    Item ``indices`` (B,) is x (B, longest of the batch, I) float32 with zeros behind each end, lengths (B,)
    int64, labels (B,) int64, and rows of ``targets`` (N, classes) where given. A part of up to ``resident_bytes``
    when padded is padded once and then only gathered from; a larger one is padded batch by batch.
    """

    def __init__(
        self, sequences: Sequences, resident_bytes: int = _RESIDENT_BYTES, targets: torch.Tensor | None = None
    ) -> None:
        if sequences.labels is None:
            raise ArgumentError("sequences.labels is None: batches to learn from need labels")
        if targets is not None and len(targets) != len(sequences):
            raise ArgumentError(f"targets: {len(targets)} rows, expected one for each of {len(sequences)} sequences")
        self._sequences = sequences
        self._targets = targets
        self._length = torch.from_numpy(sequences.length)
        self._labels = torch.from_numpy(sequences.labels)
        size = len(sequences) * int(sequences.length.max()) * sequences.input_size * 4
        self._resident = torch.from_numpy(sequences.padded()[0]) if size <= resident_bytes else None

    def __getitem__(self, indices: NDArray[np.int64]) -> Batch:
        chosen = torch.from_numpy(indices)
        length = self._length[chosen]
        if self._resident is None:
            x = torch.from_numpy(self._sequences.padded(indices)[0])
        else:
            x = self._resident[:, : int(length.max())].index_select(0, chosen)
        batch = (x, length, self._labels[chosen])
        return batch if self._targets is None else (*batch, self._targets[chosen])


class SequenceDataModule(lightning.LightningDataModule):
    """The three parts of a data set as batches (x, lengths, labels); see ``PaddedBatches``.

    Training batches are random but reproducible (``TrainBatches``); those of validation and test are sorted
    by length. With several devices each process takes its share of the training batches, so a Trainer needs
    ``use_distributed_sampler=False``.

    Args:
        dataset: what ``load_dataset`` gave.
        batch_size: sequences per training batch.
        seed: of the training order.
        bucket: batch similar lengths together.
        eval_batch_size: sequences per validation or test batch; fewer where they are long.
        targets: what else to learn from, ``(N, classes)`` probabilities of the training part; in its batches alone.

    Raises:
        ArgumentError: a batch size below 1 or a negative seed.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 64,
        seed: int = 0,
        *,
        bucket: bool = True,
        eval_batch_size: int = 512,
        targets: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        check_batch_size(batch_size)
        check_batch_size(eval_batch_size)
        if seed < 0:
            raise ArgumentError(f"seed={seed} must not be negative")
        self.dataset = dataset
        self.batch_size = batch_size
        self.seed = seed
        self.bucket = bucket
        self.eval_batch_size = eval_batch_size
        self.targets = targets

    def train_dataloader(self) -> data.DataLoader[Batch]:
        """Training batches; their order follows from the seed and the epoch alone."""
        part = self.dataset.train
        trainer = self.trainer
        rank, world_size = (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)
        batches = TrainBatches(
            part.length, self.batch_size, self.seed, bucket=self.bucket, rank=rank, world_size=world_size
        )
        return _loader(part, batches, self.targets)

    def val_dataloader(self) -> data.DataLoader[Batch]:
        """Validation batches, the shortest sequences first."""
        return self._evaluation(self.dataset.val)

    def test_dataloader(self) -> data.DataLoader[Batch]:
        """Test batches, the shortest sequences first."""
        return self._evaluation(self.dataset.test)

    def _evaluation(self, part: Sequences) -> data.DataLoader[Batch]:
        return _loader(part, LengthBatches(part.length, fitting_size(part.length, self.eval_batch_size)))


def _loader(part: Sequences, batches: _IndexBatches, targets: torch.Tensor | None = None) -> data.DataLoader[Batch]:
    # batch_size=None: the sampler names whole batches. The default collation would copy every tensor again.
    # Worker processes would cost more than a batch does.
    padded = PaddedBatches(part, targets=targets)
    return data.DataLoader(padded, sampler=batches, batch_size=None, num_workers=0, collate_fn=_unchanged)


def _unchanged(batch: Any) -> Any:
    return batch
