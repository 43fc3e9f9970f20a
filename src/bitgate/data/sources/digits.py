"""The 8x8 digits that scikit-learn carries, read as sequences: no download, the default data set."""

from __future__ import annotations

import numpy as np

from bitgate.data.sequences import Dataset, Sequences
from bitgate.data.sources.source import Bundled, Card, permutation, split_by_counts

_CREDIT = "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (1998), as in scikit-learn"
_N, _N_TRAIN, _N_VAL = 1797, 1197, 300

_ROWS = Card("digits", _N, tuple(f"column_{j}" for j in range(8)), 10, "8", _CREDIT)
_PIXELS = Card("digits-pixels", _N, ("pixel",), 10, "64", _CREDIT)


def _load(card: Card) -> Dataset:
    # Imported here: scikit-learn takes a second to load, and only these two sets need it.
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    features = images.astype(np.float32).reshape(-1, len(card.feature_names))
    length = np.full(_N, len(features) // _N, np.int64)
    sequences = Sequences(features, length, labels.astype(np.int64))
    parts = split_by_counts(sequences, permutation(_N), _N_TRAIN, _N_VAL)
    return card.dataset(parts, tuple(str(k) for k in range(10)), "paper")


DIGITS = Bundled(_ROWS, lambda: _load(_ROWS))
DIGITS_PIXELS = Bundled(_PIXELS, lambda: _load(_PIXELS))
