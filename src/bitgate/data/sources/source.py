"""What a registered data set must say about itself, and the parts it is split into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitgate.data.arrays import Array, Arrays
from bitgate.data.sequences import Dataset, Sequences


@dataclass(frozen=True)
class Card:
    """The facts of a data set that are known without having it.

    Attributes:
        name: registered name; also folder and stem of the packed file.
        sequences: number of sequences in the packed file.
        feature_names: one per feature.
        n_classes: number of classes.
        length: steps per sequence in words, such as "128" or "13-113".
        credit: who made the data, for tables and reports.
        splits: split names that ``load_dataset`` accepts.
    """

    name: str
    sequences: int
    feature_names: tuple[str, ...]
    n_classes: int
    length: str
    credit: str
    splits: tuple[str, ...] = ("paper",)

    def dataset(self, parts: Parts, class_names: tuple[str, ...], split: str) -> Dataset:
        """The data set of this card with the given parts."""
        return Dataset(
            self.name, parts.train, parts.val, parts.test, class_names, self.feature_names, split, self.credit
        )


@dataclass(frozen=True)
class Parts:
    """Training, validation and test sequences."""

    train: Sequences
    val: Sequences
    test: Sequences


@dataclass(frozen=True)
class Source:
    """A data set that is downloaded once and kept as a packed .npz archive.

    Attributes:
        card: its facts.
        urls: addresses of the original file, tried in this order.
        sha256: checksum of that file, or None where no trustworthy one is known; ``verify`` decides then.
        parse: reads the original file into the packed arrays; refuses malformed input.
        verify: refuses parsed arrays whose content is not the published one (counts, checksums of values).
        build: checks packed arrays and makes the data set, given the file's path and the split.
    """

    card: Card
    urls: tuple[str, ...]
    sha256: str | None
    parse: Callable[[Path], Arrays]
    verify: Callable[[Arrays, Path], None]
    build: Callable[[Arrays, Path, str], Dataset]


@dataclass(frozen=True)
class Bundled:
    """A data set that comes with an installed library and needs no file."""

    card: Card
    load: Callable[[], Dataset]


def permutation(n: int) -> NDArray[np.int64]:
    """The one random order behind every split; the same on every machine."""
    return np.random.default_rng(0).permutation(n)


def split_by_counts(sequences: Sequences, order: Array, n_train: int, n_val: int) -> Parts:
    """The first n_train of ``order`` to train on, the next n_val to validate, the rest to test."""
    cut = (n_train, n_train + n_val)
    return Parts(*(sequences.subset(part) for part in np.split(order, cut)))
