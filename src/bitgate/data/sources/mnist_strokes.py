"""MNIST digits as pen strokes: each row is dx, dy, end of stroke, end of digit.

Original: Edwin de Jong's sequences.tar.gz with sequences/{train,test}img-N-inputdata.txt (four whole numbers a
line) and {train,test}labels.txt (a digit a line). No checksum of the archive is published, so the content is
verified instead: SHA-256 of the labels in MNIST order, 60,000 and 10,000 digits, the first rows of training
digit 2 as printed by its author, one end of digit per sequence, and the mean length.

The packed file was regenerated from the MNIST images with the author's procedure; compared with 18 of his
sequences it differs in one, by a tie. So a downloaded copy gives nearly, not exactly, the same numbers.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np

from bitgate.data.arrays import Array, Arrays, require_array, require_lengths, require_range
from bitgate.data.sequences import Dataset, Sequences
from bitgate.data.sources.mnist_split import split_indices
from bitgate.data.sources.source import Card, Parts, Source
from bitgate.data.sources.text import parse_whole, tar_texts
from bitgate.errors import DataError

_SIZES = {"train": 60_000, "test": 10_000}
_CARD = Card(
    "mnist-strokes",
    70_000,
    ("dx", "dy", "end_of_stroke", "end_of_digit"),
    10,
    "13-113",
    "Edwin D. de Jong, MNIST digits stroke sequence data (2016), CC BY-SA 3.0",
)
_MEMBER = re.compile(r"(?:^|/)(train|test)img-(\d+)-inputdata\.txt$")
_LABELS = {
    "train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}
_MEAN_LENGTH = {"train": 39.9454, "test": 39.4109}


def parse(path: Path) -> Arrays:
    """The packed arrays of sequences.tar.gz, in MNIST order, with our split.

    Raises:
        DataError: a damaged archive, a missing digit or label, or a malformed line; names file and line.
    """
    digits: dict[str, dict[int, Array]] = {"train": {}, "test": {}}
    labels: dict[str, Array] = {}
    for name, text in tar_texts(path, ("-inputdata.txt", "/trainlabels.txt", "/testlabels.txt")):
        where = f"{path}, {name}"
        if name.endswith("labels.txt"):
            labels[name.rpartition("/")[2].removesuffix("labels.txt")] = parse_whole(text, where, 1)[:, 0]
        elif match := _MEMBER.search(name):
            rows = parse_whole(text, where, 4)
            require_range(rows, -28, 28, name, path)
            digits[match[1]][int(match[2])] = rows.astype(np.int8)
    arrays: Arrays = {}
    for part, found in digits.items():
        arrays |= _pack(part, found, labels.get(part), path)
    return arrays | split_indices()


def _pack(part: str, digits: dict[int, Array], labels: Array | None, path: Path) -> Arrays:
    if labels is None or not digits:
        raise DataError(f"{path}: {part}labels.txt or every {part}img-N-inputdata.txt is missing from the archive")
    missing = sorted(set(range(len(labels))) ^ digits.keys())
    if missing:
        raise DataError(f"{path}: {part} digit {missing[0]} has no strokes or no label; {len(labels)} labels were read")
    require_range(labels, 0, 9, f"{part}labels.txt", path)
    ordered = [digits[i] for i in range(len(labels))]
    return {
        f"{part}_x": np.concatenate(ordered),
        f"{part}_length": np.array([len(d) for d in ordered], np.int16),
        f"{part}_y": labels.astype(np.uint8),
    }


def verify(arrays: Arrays, path: Path) -> None:
    """Refuse arrays that are not de Jong's strokes of the MNIST digits.

    Raises:
        DataError: names what differs.
    """
    for part, right in _LABELS.items():
        if hashlib.sha256(arrays[f"{part}_y"].tobytes()).hexdigest() != right:
            raise DataError(f"{path}, {part}labels.txt: not the {_SIZES[part]} labels of MNIST in their order")
        length = arrays[f"{part}_length"].astype(np.int64)
        if abs(length.mean() - _MEAN_LENGTH[part]) > 0.05:
            raise DataError(f"{path}: mean length {length.mean():.3f} in {part}, but {_MEAN_LENGTH[part]} is right")
        ends = np.flatnonzero(arrays[f"{part}_x"][:, 3])
        if not np.array_equal(ends, np.cumsum(length) - 1):
            raise DataError(f"{path}: a digit in {part} does not end with its only end-of-digit row")
    start = int(arrays["train_length"][:2].sum(dtype=np.int64))
    first = arrays["train_x"][start : start + 2].tolist()
    if first != [[5, 9, 0, 0], [0, 1, 0, 0]]:
        raise DataError(f"{path}: training digit 2 starts with {first}, but its author prints 5 9 0 0, 0 1 0 0")


def build(arrays: Arrays, path: Path, split: str) -> Dataset:
    """10,000 / 2,000 of the training digits and 2,000 of the test digits, by the indices in the file."""
    train, test = (_sequences(arrays, part, n, path) for part, n in _SIZES.items())
    chosen = {}
    for key, n, size in (("train", 10_000, 60_000), ("val", 2_000, 60_000), ("test", 2_000, 10_000)):
        chosen[key] = require_array(arrays, f"split_{key}", "iu", (n,), path).astype(np.int64)
        require_range(chosen[key], 0, size - 1, f"split_{key}", path)
    shared = np.intersect1d(chosen["train"], chosen["val"])
    if len(shared):
        raise DataError(f"{path}, keys 'split_train' and 'split_val': digit {shared[0]} is in both")
    parts = Parts(train.subset(chosen["train"]), train.subset(chosen["val"]), test.subset(chosen["test"]))
    return _CARD.dataset(parts, tuple(str(k) for k in range(10)), split)


def _sequences(arrays: Arrays, part: str, n: int, path: Path) -> Sequences:
    x = require_array(arrays, f"{part}_x", "iu", (None, 4), path)
    y = require_array(arrays, f"{part}_y", "iu", (n,), path).astype(np.int64)
    require_range(y, 0, 9, f"{part}_y", path)
    return Sequences(x.astype(np.float32), require_lengths(arrays, f"{part}_length", n, len(x), path), y)


MNIST_STROKES = Source(
    card=_CARD,
    urls=("https://github.com/edwin-de-jong/mnist-digits-stroke-sequence-data/raw/master/sequences.tar.gz",),
    sha256=None,
    parse=parse,
    verify=verify,
    build=build,
)
