"""The free energy against its terms computed by hand."""

import math

import numpy as np
import pytest
import torch

from bitgate.errors import ArgumentError
from bitgate.nn import Linear
from bitgate.train import free_energy
from bitgate.train.objective import distillation
from bitgate.weights import TERNARY, Categorical, Gaussian, Quantized

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.5, 0.0]], dtype=torch.float64)
LABELS = torch.tensor([0, 2])


def cross_entropy() -> float:
    z = LOGITS.numpy()
    log_probs = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return float(-np.mean([log_probs[0, 0], log_probs[1, 2]]))


def categorical(probs: list[float], columns: int = 2) -> Linear:
    """One row of weights that all have the same probabilities of -1, 0, 1."""
    layer = Linear(columns, 1, weights=Categorical(TERNARY), dtype=torch.float64)
    with torch.no_grad():
        layer.weight.logits.copy_(torch.tensor(probs, dtype=torch.float64).log().view(3, 1, 1).expand(3, 1, columns))
    return layer


def test_without_terms_it_is_the_mean_cross_entropy():
    loss = free_energy(LOGITS, LABELS, categorical([0.2, 0.3, 0.5]), n_examples=10)
    assert loss.item() == pytest.approx(cross_entropy(), rel=1e-12)


def test_kl_term_is_the_sum_over_weights_by_the_number_of_examples():
    p = np.array([0.2, 0.3, 0.5])
    kl = 2 * float((p * np.log(p * 3)).sum())
    loss = free_energy(LOGITS, LABELS, categorical([0.2, 0.3, 0.5]), n_examples=10, kl_weight=0.5)
    assert loss.item() == pytest.approx(cross_entropy() + 0.5 * kl / 10, rel=1e-12)
    assert kl > 0.1, "a vanishing term would be no test"


def test_kl_term_takes_a_prior():
    p, prior = np.array([0.2, 0.3, 0.5]), np.array([0.1, 0.8, 0.1])
    kl = 2 * float((p * np.log(p / prior)).sum())
    model = categorical([0.2, 0.3, 0.5])
    loss = free_energy(LOGITS, LABELS, model, n_examples=4, kl_weight=1.0, prior=(0.1, 0.8, 0.1))
    assert loss.item() == pytest.approx(cross_entropy() + kl / 4, rel=1e-12)


def test_kl_term_of_gaussian_weights_is_against_the_standard_normal():
    layer = Linear(1, 1, weights=Gaussian(init_std=0.5), dtype=torch.float64)
    mean = layer.weight.loc.item()
    kl = 0.5 * (0.25 + mean**2 - 1) - math.log(0.5)
    loss = free_energy(LOGITS, LABELS, layer, n_examples=2, kl_weight=1.0)
    assert loss.item() == pytest.approx(cross_entropy() + kl / 2, rel=1e-12)


def test_entropy_bonus_is_the_mean_over_weights_in_bits():
    p = np.array([0.2, 0.3, 0.5])
    bits = float(-(p * np.log2(p)).sum())
    loss = free_energy(LOGITS, LABELS, categorical([0.2, 0.3, 0.5]), n_examples=10, entropy_weight=0.3)
    assert loss.item() == pytest.approx(cross_entropy() - 0.3 * bits, rel=1e-12)


def test_bonus_pulls_towards_uniform_probabilities():
    model = categorical([0.2, 0.3, 0.5])
    free_energy(LOGITS, LABELS, model, n_examples=10, entropy_weight=1.0).backward()
    gradient = model.weight.logits.grad[:, 0, 0]
    assert gradient[2] > 0 > gradient[0], "descent must lower the most and raise the least probable level"


@pytest.mark.parametrize("weights", ["continuous", Quantized()])
def test_terms_that_the_weights_lack_are_refused(weights):
    model = Linear(2, 1, weights=weights)
    with pytest.raises(ArgumentError, match="kl: this model has no probabilistic weights"):
        free_energy(LOGITS, LABELS, model, n_examples=10, kl_weight=1.0)
    with pytest.raises(ArgumentError, match="entropy_weight: this model has no categorical weights"):
        free_energy(LOGITS, LABELS, model, n_examples=10, entropy_weight=1.0)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_distillation_by_hand(temperature):
    targets = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    z = LOGITS.numpy() / temperature
    log_probs = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    expected = temperature**2 * float((targets * (np.log(targets) - log_probs)).sum(axis=1).mean())
    assert distillation(LOGITS, torch.from_numpy(targets), temperature).item() == pytest.approx(expected, rel=1e-12)


def test_distillation_ends_where_the_predictions_are_the_targets():
    targets = (LOGITS / 2).softmax(dim=-1)
    assert distillation(LOGITS, targets, 2.0).item() == pytest.approx(0, abs=1e-12)
    assert distillation(LOGITS, targets, 1.0).item() > 0.01
