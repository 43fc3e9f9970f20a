"""Documents of a given length out of shorter texts of one label: our rule; [QL] says only that they were lengthened.

Texts of a label are put into a random order, fixed by a seed, and joined, with a separator between them, until a
document has enough tokens; it then ends after exactly that many, and the next document begins with the next text. So
every text begins at most one document, none is used twice, and an epoch has about as many tokens at every length.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bitgate.data.sequences import Sequences
from bitgate.data.text.vocabulary import Tokens
from bitgate.errors import DataError


def lengthen(
    texts: Sequence[Tokens], labels: NDArray[np.int64], tokens: int, *, separator: int, seed: int
) -> Sequences:
    """Documents of exactly ``tokens`` tokens, each of texts of one label; the last texts of a label may be left over.

    Args:
        texts: token numbers of each text.
        labels: ``(N,)`` class of each text.
        tokens: length of a document.
        separator: the token between texts.
        seed: of the order of the texts.

    Raises:
        DataError: some label has not enough text for one document.
    """
    rng = np.random.default_rng(seed)
    documents: list[Tokens] = []
    classes: list[int] = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        found = _join([texts[k] for k in rng.permutation(members)], tokens, separator)
        if not found:
            raise DataError(f"label {label}: {len(members)} texts do not fill one document of {tokens} tokens")
        documents += found
        classes += [int(label)] * len(found)
    order = rng.permutation(len(documents))
    return to_sequences([documents[k] for k in order], np.array(classes, np.int64)[order])


def truncate(texts: Sequence[Tokens], labels: NDArray[np.int64], tokens: int) -> Sequences:
    """One document a text: its last ``tokens`` tokens, because a review tends to end with its verdict."""
    return to_sequences([text[-tokens:] for text in texts], labels)


def to_sequences(documents: Sequence[Tokens], labels: NDArray[np.int64]) -> Sequences:
    """Token numbers as sequences of one feature; float32 holds them exactly up to 2**24."""
    length = np.array([len(document) for document in documents], np.int64)
    return Sequences(np.concatenate(documents).astype(np.float32)[:, None], length, labels)


def _join(texts: Sequence[Tokens], tokens: int, separator: int) -> list[Tokens]:
    documents: list[Tokens] = []
    parts: list[Tokens] = []
    size = 0
    for text in texts:
        parts += [text, np.array([separator], np.int32)]
        size += len(text) + 1
        if size - 1 >= tokens:  # the separator behind the last text does not count
            documents.append(np.concatenate(parts)[:tokens])
            parts, size = [], 0
    return documents
