"""The main job end to end, and that it fails loudly if C and interpreter ever differ."""

import numpy as np
import pytest

from bitgate.cli import demo


@pytest.fixture
def options(digits_file, tmp_path):
    return ["demo", "--data", digits_file, "--epochs", 2, "-o", tmp_path / "demo"]


@pytest.mark.slow
def test_demo_proves_that_c_equals_the_interpreter(bitgate, options, tmp_path):
    answer = bitgate(*options, "--json")
    assert answer.code == 0, answer.err
    result = answer.json
    assert result["c_logits_identical"] is True
    assert result["c_predictions_identical"] is True
    assert result["c_accuracy"] == result["integer_accuracy"]
    assert result["n_test"] == 48
    for name in ("training.png", "confusion.png", "model.bitgate", "c/README.md", "runs/ternary/result.json"):
        assert (tmp_path / "demo" / name).stat().st_size > 0
    assert result["model_file_bytes"] == (tmp_path / "demo" / "model.bitgate").stat().st_size
    for step in ("1/4", "2/4", "3/4", "4/4"):
        assert step in answer.err


@pytest.mark.slow
def test_demo_fails_if_one_logit_differs(bitgate, options, monkeypatch):
    original = demo.run_program

    def one_flipped(binary, sequences):
        classes, logits = original(binary, sequences)
        changed = np.array(logits)
        changed[7, 1] ^= 1
        return classes, changed

    monkeypatch.setattr(demo, "run_program", one_flipped)
    answer = bitgate(*options)
    assert answer.code != 0
    assert "DIFFERENT FROM THE INTERPRETER" in answer.out
