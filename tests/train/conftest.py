"""One small file of digits for all tests of training."""

from pathlib import Path

import pytest

from tests.train.tiny import write_digits


@pytest.fixture
def data(tmp_path: Path, digits_file: Path) -> Path:
    """The file in a folder of the test's own, so that runs of different tests never meet."""
    copy = tmp_path / "digits.npz"
    copy.hardlink_to(digits_file)
    return copy


@pytest.fixture(scope="session")
def digits_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("data") / "digits.npz")
