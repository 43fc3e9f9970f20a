"""A user's labels, text or whole numbers, as class indices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bitgate.data.arrays import Array
from bitgate.errors import DataError


def encode_labels(
    labels: Array, where: str, known: Sequence[str] | None = None, named: Sequence[str] | None = None
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class index of each sequence, and the class names.

    Args:
        labels: (N,) text or whole numbers.
        where: file named in errors.
        known: class names of a trained model; only these may occur, and they fix the indices.
        named: class names that the file itself gives to its whole numbers 0, 1, ...

    Without either, the classes are the labels that occur: text in alphabetical, numbers in rising order.

    Raises:
        DataError: labels of another type, or one that is not known; names its sequence.
    """
    if labels.dtype.kind not in "iuU" or labels.ndim != 1:
        raise DataError(
            f"{where}: labels are {labels.dtype} of shape {labels.shape}; "
            "whole numbers or text, one per sequence, are needed"
        )
    values, index = np.unique(labels, return_inverse=True)
    texts = _texts(values, labels, where, named if labels.dtype.kind != "U" else None)
    classes = tuple(known or named or texts)
    place = {name: k for k, name in enumerate(classes)}
    for k, text in enumerate(texts):
        if text not in place:
            i = int(np.argmax(index == k))
            raise DataError(f"{where}, sequence {i}: unknown label {text!r}; known are {', '.join(classes)}")
    return np.array([place[text] for text in texts], np.int64)[index.reshape(-1)], classes


def _texts(values: Array, labels: Array, where: str, named: Sequence[str] | None) -> list[str]:
    if named is None:
        return [str(value) for value in values]
    outside = values[(values < 0) | (values >= len(named))]
    if len(outside):
        i = int(np.argmax(labels == outside[0]))
        raise DataError(f"{where}, sequence {i}: label {outside[0]}, but class_names has {len(named)} names")
    return [str(named[int(value)]) for value in values]
