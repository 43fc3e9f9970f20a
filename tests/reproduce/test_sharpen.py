"""Sharpened posteriors of experiments/dlstm/sharpen.py."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from bitgate.nn import SequenceClassifier, distributions, mean_entropy_bits
from bitgate.weights import BINARY, TERNARY, Categorical, CategoricalWeights

SCRIPT = Path(__file__).parents[2] / "experiments/dlstm/sharpen.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sharpen", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("levels", [BINARY, TERNARY])
@pytest.mark.parametrize("power", [1.5, 4.0])
def test_probabilities_are_raised_to_the_power_and_normalized(
    script: ModuleType, levels: tuple[float, ...], power: float
) -> None:
    torch.manual_seed(0)
    model = SequenceClassifier(3, 2, (5, 4), weights=Categorical(levels))
    before = [w for w in distributions(model) if isinstance(w, CategoricalWeights)]
    after = [w for w in distributions(script.sharpen(model, power)) if isinstance(w, CategoricalWeights)]
    assert before
    for old, new in zip(before, after, strict=True):
        raised = old.probs() ** power
        torch.testing.assert_close(new.probs(), raised / raised.sum(dim=0))
        assert torch.equal(new.mode(), old.mode())


def test_the_model_stays_as_it_is_and_entropy_falls_with_the_power(script: ModuleType) -> None:
    torch.manual_seed(0)
    model = SequenceClassifier(3, 2, (5, 4), weights=Categorical(TERNARY))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    entropies = [mean_entropy_bits(script.sharpen(model, power)).item() for power in script.POWERS]
    assert entropies == sorted(entropies, reverse=True)
    assert entropies[-1] < entropies[0]
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
