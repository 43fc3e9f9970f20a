"""A user's own sequences: .npz archives, and Parquet or CSV tables in long form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitgate.data.arrays import Array, Arrays, read_npz, require_array, require_keys, require_lengths, require_range
from bitgate.data.labels import encode_labels
from bitgate.data.sequences import Dataset, Sequences, as_float32
from bitgate.data.sources.source import Parts, permutation, split_by_counts
from bitgate.data.tables import read_table
from bitgate.errors import ArgumentError, DataError

SUFFIXES = (".npz", ".parquet", ".csv")


def read_sequences(
    path: str | Path, class_names: Sequence[str] | None = None
) -> tuple[Sequences, tuple[str, ...], tuple[str, ...]]:
    """Sequences of a file, its class names (empty without labels) and its feature names.

    An archive holds ``x``, (N, T, I) padded or (sum of lengths, I) end to end, and ``length`` (N,), which
    may be left out for (N, T, I) when every sequence has T steps; optionally ``y`` (N,), whole numbers or text,
    ``class_names`` and ``feature_names``. A table has a row per step: columns sequence, step, features...
    and optionally label.

    Args:
        path: a file that ends in .npz, .parquet or .csv.
        class_names: names of a trained model's classes; they fix the class indices, and any other label
            is an error.

    Raises:
        ArgumentError: another kind of file.
        DataError: whatever is wrong with the file, its arrays, steps or labels.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ArgumentError(f"{path}: the name must end in {', '.join(SUFFIXES)}")
    if path.suffix.lower() == ".npz":
        return _read_archive(read_npz(path), path, class_names)
    table = read_table(path)
    return _finish(table.features, table.length, table.labels, path, class_names, None, table.feature_names)


def load_file_dataset(path: str | Path) -> Dataset:
    """A labelled file as a data set in three parts.

    The parts are ``split_train``, ``split_val`` and ``split_test`` (indices) of an archive that has them;
    otherwise 70 / 15 / 15 % in a fixed random order.

    Raises:
        ArgumentError, DataError: as ``read_sequences``; or no labels, too few sequences, or parts that share one.
    """
    path = Path(path)
    sequences, class_names, feature_names = read_sequences(path)
    if sequences.labels is None:
        raise DataError(f"{path}: no labels (y in an archive, label in a table), so nothing can be learnt from it")
    parts = _own_split(sequences, path) if path.suffix.lower() == ".npz" else None
    parts = parts or _random_split(sequences, path)
    return Dataset(
        str(path), parts.train, parts.val, parts.test, class_names, feature_names, "paper", f"file {path.name}"
    )


def _read_archive(
    arrays: Arrays, path: Path, class_names: Sequence[str] | None
) -> tuple[Sequences, tuple[str, ...], tuple[str, ...]]:
    require_keys(arrays, ["x"], path)
    ndim = arrays["x"].ndim
    x = require_array(arrays, "x", "iuf", (None, None, None) if ndim == 3 else (None, None), path)
    if ndim == 3:
        features, length = _flatten(x, arrays, path)
    else:
        require_keys(arrays, ["length"], path)
        features, length = x, require_lengths(arrays, "length", arrays["length"].size, len(x), path)
    named = _names(arrays, "class_names", None, path)
    feature_names = _names(arrays, "feature_names", x.shape[-1], path) or tuple(f"x{j}" for j in range(x.shape[-1]))
    labels = arrays.get("y")
    if labels is not None and labels.shape != length.shape:
        raise DataError(f"{path}, key 'y': shape {labels.shape}, but one label for each of {len(length)} sequences")
    return _finish(as_float32(features), length, labels, path, class_names, named, feature_names)


def _flatten(x: Array, arrays: Arrays, path: Path) -> tuple[Array, NDArray[np.int64]]:
    """Drop the padding of x (N, T, I); what stands in it does not matter."""
    n, steps, _ = x.shape
    length = np.full(n, steps, np.int64)
    if "length" in arrays:
        length = require_array(arrays, "length", "iu", (n,), path).astype(np.int64)
        require_range(length, 1, steps, "length", path)
    return x[np.arange(steps) < length[:, None]], length


def _names(arrays: Arrays, key: str, n: int | None, path: Path) -> tuple[str, ...] | None:
    if key not in arrays:
        return None
    names = tuple(require_array(arrays, key, "U", (n,), path).tolist())
    if len(set(names)) != len(names):
        raise DataError(f"{path}, key {key!r}: a name comes twice; each must be unique")
    return names


def _finish(
    features: NDArray[np.float32],
    length: NDArray[np.int64],
    labels: Array | None,
    path: Path,
    class_names: Sequence[str] | None,
    named: Sequence[str] | None,
    feature_names: tuple[str, ...],
) -> tuple[Sequences, tuple[str, ...], tuple[str, ...]]:
    classes, encoded = tuple(class_names or ()), None
    if labels is not None:
        encoded, classes = encode_labels(labels, str(path), class_names, named)
    try:
        return Sequences(features, length, encoded), classes, feature_names
    except (DataError, ArgumentError) as error:
        raise DataError(f"{path}: {error}") from error


def _own_split(sequences: Sequences, path: Path) -> Parts | None:
    arrays = read_npz(path)
    keys = [f"split_{part}" for part in ("train", "val", "test")]
    if not any(key in arrays for key in keys):
        return None
    indices = [require_array(arrays, key, "iu", (None,), path).astype(np.int64) for key in keys]
    for key, chosen in zip(keys, indices, strict=True):
        require_range(chosen, 0, len(sequences) - 1, key, path)
        if len(chosen) == 0:
            raise DataError(f"{path}, key {key!r}: empty; every part needs a sequence")
    values, counts = np.unique(np.concatenate(indices), return_counts=True)
    if counts.max() > 1:
        raise DataError(f"{path}, keys {', '.join(keys)}: sequence {values[counts.argmax()]} is named twice")
    return Parts(*(sequences.subset(chosen) for chosen in indices))


def _random_split(sequences: Sequences, path: Path) -> Parts:
    n = len(sequences)
    held_out = max(1, round(0.15 * n))
    if n < 3:
        raise DataError(f"{path}: {n} sequences cannot be split into train, val and test; 3 or more are needed")
    return split_by_counts(sequences, permutation(n), n - 2 * held_out, held_out)
