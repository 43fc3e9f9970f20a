"""The optimizer of a run, and what it makes of a checkpoint whose optimizer was not fused."""

import copy

import pytest
import torch

from bitgate.nn import SequenceClassifier, distributions
from bitgate.train.config import FitConfig
from bitgate.train.module import make_optimizer
from bitgate.weights import Quantized, QuantizedWeights
from tests.tolerances import EXACT, FLOAT32_PARITY, assert_near


def stepped(model: SequenceClassifier, optimizer: torch.optim.Optimizer, steps: int) -> list[torch.Tensor]:
    for step in range(steps):
        for index, parameter in enumerate(model.parameters()):
            parameter.grad = torch.cos(torch.arange(parameter.numel()) + step + index).view_as(parameter)
        optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


def optimizer_of(model: SequenceClassifier) -> torch.optim.Optimizer:
    found = make_optimizer(model, FitConfig(data="digits"))
    return found["optimizer"]  # type: ignore[index, return-value, typeddict-item]


def plain_twin(model: SequenceClassifier, optimizer: torch.optim.Optimizer) -> torch.optim.Adam:
    """Adam with the same groups, as earlier versions made it."""
    names = {id(p): name for name, p in model.named_parameters()}
    twins = dict(model.named_parameters())
    groups = [{"params": [twins[names[id(p)]] for p in g["params"]], "lr": g["lr"]} for g in optimizer.param_groups]
    return torch.optim.Adam(groups)


def test_fused_steps_equal_plain_ones() -> None:
    model = SequenceClassifier(2, 3, (5,), weights="ternary", coupled=True)
    other = copy.deepcopy(model)
    fused = optimizer_of(model)
    assert all(group["fused"] for group in fused.param_groups)
    plain = plain_twin(other, optimizer_of(other))
    for a, b in zip(stepped(model, fused, 5), stepped(other, plain, 5), strict=True):
        assert_near(a, b, FLOAT32_PARITY, "parameter")


def test_an_earlier_checkpoint_goes_on_as_it_began() -> None:
    model = SequenceClassifier(2, 3, (5,), weights="ternary", coupled=True)
    plain = plain_twin(model, optimizer_of(model))
    stepped(model, plain, 3)
    resumed_model, state = copy.deepcopy(model), copy.deepcopy(plain.state_dict())
    resumed = optimizer_of(resumed_model)
    resumed.load_state_dict(state)
    for a, b in zip(stepped(resumed_model, resumed, 3), stepped(model, plain, 3), strict=True):
        assert_near(a, b, EXACT, "parameter")


@pytest.mark.parametrize("clip", [True, False])
def test_latents_are_clipped_behind_every_step(clip: bool) -> None:
    model = SequenceClassifier(2, 3, (5,), weights=Quantized(), coupled=True)
    found = make_optimizer(model, FitConfig(data="digits", method="qat", learning_rate=0.5, clip_latents=clip))
    stepped(model, found["optimizer"], 5)  # type: ignore[index, arg-type, typeddict-item]
    largest = max(float(d.latent.detach().abs().max()) for d in distributions(model) if isinstance(d, QuantizedWeights))
    assert (largest == 1) if clip else (largest > 1)
