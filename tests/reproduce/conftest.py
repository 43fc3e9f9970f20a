"""A grid of two cells that trains in a blink."""

from pathlib import Path

import pytest

from tests.train.tiny import write_digits


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("reproduce") / "digits.npz")


@pytest.fixture
def grid_file(digits: Path, tmp_path: Path) -> Path:
    path = tmp_path / "experiments" / "tiny" / "digits.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(
        f"""
title: Tiny
trials: 2
options:
  - set: {{data: {digits}, hidden_sizes: [6], epochs: 2, batch_size: 32, draws: 2}}
  - {{when: {{method: r}}, set: {{epochs: 3}}}}
cells:
  - {{name: qat, method: qat, published: {{map: [90, 1]}}}}
  - {{name: r, method: r, published: {{sample: [90, 1], map: [91, 2]}}}}
"""
    )
    return path
