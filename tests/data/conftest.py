import os
from pathlib import Path

import numpy as np
import pytest

from bitgate.data import Dataset, Sequences


@pytest.fixture(scope="session")
def packed_folder():
    folder = os.environ.get("BITGATE_DATA")
    if not folder:
        pytest.skip("BITGATE_DATA is unset: it must name the folder of the packed data sets")
    return Path(folder)


@pytest.fixture
def no_local_data(monkeypatch, tmp_path):
    """An empty cache and no $BITGATE_DATA; gives the cache folder."""
    monkeypatch.delenv("BITGATE_DATA", raising=False)
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / project)
    return tmp_path / "bitgate"


def random_sequences(n=40, input_size=3, longest=20, seed=0, n_classes=4):
    rng = np.random.default_rng(seed)
    length = rng.integers(1, longest + 1, n)
    features = rng.normal(size=(length.sum(), input_size)).astype(np.float32)
    return Sequences(features, length, rng.integers(0, n_classes, n))


@pytest.fixture
def dataset():
    parts = [random_sequences(n, seed=seed) for seed, n in enumerate((1003, 30, 600))]
    return Dataset("made", *parts, tuple("abcd"), ("u", "v", "w"), "paper", "made by the tests")
