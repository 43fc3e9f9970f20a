"""Sequences of unequal length in one array, and a data set made of three such parts. NumPy only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bitgate.errors import ArgumentError, DataError, ShapeError

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences laid end to end along time, so that nothing is padded until a batch is made.

    Attributes:
        features: (sum of lengths, I) float32, finite; the steps of sequence 0, then those of 1, ...
        length: (N,) int64, steps of each sequence, at least 1.
        labels: (N,) int64 class indices, or None when the classes are not known.

    Raises:
        ShapeError: an array of the wrong type or number of dimensions.
        DataError: no sequences, an empty one, lengths that do not add up, NaN or infinity.
    """

    features: Floats
    length: Ints
    labels: Ints | None = None

    def __post_init__(self) -> None:
        _expect("features", self.features, np.dtype(np.float32), 2)
        _expect("length", self.length, np.dtype(np.int64), 1)
        if len(self.length) == 0:
            raise DataError("length is empty: at least one sequence is needed")
        if self.length.min() < 1:
            i = int(np.argmax(self.length < 1))
            raise DataError(f"sequence {i} has length {self.length[i]}: every sequence needs at least one step")
        total = int(self.length.sum())
        if total != len(self.features):
            raise DataError(
                f"the {len(self)} lengths add up to {total} steps, but features has {len(self.features)} rows"
            )
        if self.labels is not None:
            _expect("labels", self.labels, np.dtype(np.int64), 1)
            if len(self.labels) != len(self):
                raise ShapeError(f"labels has {len(self.labels)} entries for {len(self)} sequences")
        self._refuse_non_finite()

    def _refuse_non_finite(self) -> None:
        if self.input_size == 0:
            raise ShapeError("features has no columns: at least one feature is needed")
        finite = np.isfinite(self.features)
        if not finite.all():
            row, feature = np.argwhere(~finite)[0]
            i = int(np.searchsorted(self.offset, row, side="right")) - 1
            value = self.features[row, feature]
            step = row - self.offset[i]
            raise DataError(f"sequence {i}, step {step}, feature {feature} is {value}: every value must be finite")

    def __len__(self) -> int:
        return len(self.length)

    def __getitem__(self, i: int) -> Floats:
        """The steps of sequence i, (length[i], I): a view, not a copy."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"sequence {i} of {len(self)}")
        i %= len(self)
        return self.features[self.offset[i] : self.offset[i] + self.length[i]]

    @cached_property
    def offset(self) -> Ints:
        """(N,) row of ``features`` at which each sequence starts."""
        return np.cumsum(self.length) - self.length

    @property
    def input_size(self) -> int:
        """Number of features per step, I."""
        return int(self.features.shape[1])

    def subset(self, indices: Iterable[int] | Ints) -> Sequences:
        """The named sequences, in the order named (repeats allowed), as a copy."""
        chosen = self._checked(indices)
        labels = None if self.labels is None else self.labels[chosen]
        return Sequences(self.features[self._rows(chosen)], self.length[chosen], labels)

    def padded(self, indices: Iterable[int] | Ints | None = None) -> tuple[Floats, Ints]:
        """Sequences as one batch: x (B, longest, I), zero behind the end of each, and length (B,)."""
        chosen = np.arange(len(self)) if indices is None else self._checked(indices)
        length = self.length[chosen]
        longest = int(length.max(initial=0))
        x = np.zeros((len(chosen), longest, self.input_size), np.float32)
        x[np.arange(longest) < length[:, None]] = self.features[self._rows(chosen)]
        return x, length

    def mean_std(self) -> tuple[Floats, Floats]:
        """Mean and population standard deviation of each feature over all steps; 1 for a constant one.

        Summed in float64. A feature whose spread vanishes in float32 counts as constant, so that
        dividing by the result is always safe.
        """
        mean = self.features.mean(axis=0, dtype=np.float64)
        std = self.features.std(axis=0, dtype=np.float64).astype(np.float32)
        constant = (self.features.min(axis=0) == self.features.max(axis=0)) | (std == 0)
        return mean.astype(np.float32), np.where(constant, np.float32(1), std)

    @classmethod
    def from_list(cls, sequences: Sequence[NDArray[Any]], labels: Iterable[int] | None = None) -> Sequences:
        """Sequences from a list of (T_i, I) arrays of any numeric type."""
        if len(sequences) == 0:
            raise DataError("the list of sequences is empty: at least one is needed")
        arrays = [as_float32(np.asarray(s)) for s in sequences]
        for i, array in enumerate(arrays):
            if array.ndim != 2 or array.shape[1] != arrays[0].shape[-1]:
                raise ShapeError(f"sequence {i} has shape {array.shape}: (steps, {arrays[0].shape[-1]}) is needed")
        length = np.array([len(a) for a in arrays], np.int64)
        return cls(np.concatenate(arrays), length, None if labels is None else np.array([*labels], np.int64))

    def _rows(self, chosen: Ints) -> Ints:
        """Rows of ``features`` that the chosen sequences occupy, one after the other."""
        length = self.length[chosen]
        shift = self.offset[chosen] - (np.cumsum(length) - length)
        rows: Ints = np.arange(length.sum()) + np.repeat(shift, length)
        return rows

    def _checked(self, indices: Iterable[int] | Ints) -> Ints:
        chosen = np.asarray(indices if isinstance(indices, np.ndarray) else [*indices])
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
            raise ArgumentError(f"indices must be whole numbers in one dimension, not {chosen.dtype} {chosen.shape}")
        outside = (chosen < 0) | (chosen >= len(self))
        if outside.any():
            raise ArgumentError(f"index {chosen[outside][0]} is outside 0..{len(self) - 1}")
        return chosen.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled sequences in three parts, raw: a model standardizes with ``train.mean_std()`` itself.

    Attributes:
        name: registered name, or the path of the user's file.
        train: sequences to learn from.
        val: sequences to choose with.
        test: sequences to report on.
        class_names: name of class k at index k.
        feature_names: name of feature j at index j.
        split: "paper" (the default parts) or "honest" (no subject or recording in two parts).
        source: credit line.
        vocabulary_size: of text, whose one feature is a token's number below this; 0 for anything else.
    """

    name: str
    train: Sequences
    val: Sequences
    test: Sequences
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    split: str
    source: str
    vocabulary_size: int = 0

    def __post_init__(self) -> None:
        for part, sequences in (("train", self.train), ("val", self.val), ("test", self.test)):
            check_input_size(sequences, len(self.feature_names), f"{self.name}, part {part}")
            labels = sequences.labels
            if labels is None:
                raise DataError(f"{self.name}, part {part}: labels are missing; a data set to train on needs them")
            if labels.min() < 0 or labels.max() >= self.n_classes:
                i = int(np.argmax((labels < 0) | (labels >= self.n_classes)))
                raise DataError(
                    f"{self.name}, part {part}, sequence {i}: label {labels[i]} is outside 0..{self.n_classes - 1}"
                )

    @property
    def input_size(self) -> int:
        """Number of features per step, I."""
        return len(self.feature_names)

    def with_vocabulary(self, size: int) -> Dataset:
        """The same data as text of ``size`` different tokens."""
        return replace(self, vocabulary_size=size)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


def as_float32(array: NDArray[Any]) -> Floats:
    """The array as float32; a value too large for it becomes infinite, which ``Sequences`` then refuses by name."""
    with np.errstate(over="ignore"):
        return np.asarray(array, np.float32)


def check_input_size(sequences: Sequences, expected: int, what: str) -> None:
    """Refuse sequences whose number of features is not ``expected``; ``what`` names them in the error.

    Raises:
        DataError: the numbers differ.
    """
    if sequences.input_size != expected:
        raise DataError(f"{what}: {sequences.input_size} features per step, but {expected} are expected")


def _expect(name: str, array: object, dtype: np.dtype[np.generic], ndim: int) -> None:
    if not isinstance(array, np.ndarray):
        raise ShapeError(f"{name} must be a NumPy array, not {type(array).__name__}")
    if array.dtype != dtype or array.ndim != ndim:
        raise ShapeError(f"{name} is {array.dtype} with {array.ndim} dimensions: {dtype} with {ndim} is needed")
