"""Batches as lists of indices: shuffled for training, sorted by length for evaluation. NumPy only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bitgate.errors import ArgumentError

_CHUNK = 50
_STEPS = 2**17


class TrainBatches:
    """Index batches whose order is a pure function of (seed, epoch).

    Sequences are permuted; with ``bucket`` every run of 50 batches is sorted by length, so that a batch
    holds similar lengths and little padding, and the batches are then shuffled. The last batch may be smaller.
    Lightning calls ``set_epoch``, also when it resumes, so a resumed run sees what an uninterrupted one would.

    With several processes each takes every ``world_size``-th batch; the first batches are repeated where
    the number does not divide, because all processes must take equally many steps.
    """

    def __init__(
        self,
        length: NDArray[np.int64],
        batch_size: int,
        seed: int = 0,
        *,
        bucket: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        check_batch_size(batch_size)
        if not 0 <= rank < world_size:
            raise ArgumentError(f"rank={rank} is outside 0..{world_size - 1} (world_size={world_size})")
        if seed < 0:
            raise ArgumentError(f"seed={seed} must not be negative")
        self._length = length
        self._batch_size = batch_size
        self._seed = seed
        self._bucket = bucket
        self._rank = rank
        self._world_size = world_size
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self._epoch = epoch

    def __len__(self) -> int:
        batches = -(-len(self._length) // self._batch_size)
        return -(-batches // self._world_size)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        # A generator, so that the order is drawn when the first batch is asked for: when it resumes, Lightning
        # makes the iterator first and sets the epoch afterwards.
        rng = np.random.default_rng([self._seed, self._epoch])
        order = rng.permutation(len(self._length))
        if self._bucket:
            order = self._sort_chunks(order)
        batches = np.split(order, range(self._batch_size, len(order), self._batch_size))
        turn = np.resize(rng.permutation(len(batches)), len(self) * self._world_size)
        for k in turn[self._rank :: self._world_size]:
            yield batches[k]

    def _sort_chunks(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        chunk = np.arange(len(order)) // (self._batch_size * _CHUNK)
        return order[np.lexsort((self._length[order], chunk))]


class LengthBatches:
    """Index batches in order of length, the shortest first: always the same, with the least padding."""

    def __init__(self, length: NDArray[np.int64], batch_size: int) -> None:
        check_batch_size(batch_size)
        order = np.argsort(length, kind="stable")
        self._batches = np.split(order, range(batch_size, len(order), batch_size))

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        return iter(self._batches)


def check_batch_size(batch_size: int) -> None:
    """Refuse a batch size below 1.

    Raises:
        ArgumentError: names the value.
    """
    if batch_size < 1:
        raise ArgumentError(f"batch_size={batch_size} must be at least 1")


def fitting_size(length: NDArray[np.int64], batch_size: int) -> int:
    """A batch size for evaluation that keeps the padded steps of a batch within memory: at most ``batch_size``."""
    return max(1, min(batch_size, _STEPS // int(length.max())))
