"""Several matrices drawn at once: the numbers and gradients of one at a time."""

import pytest
import torch
from torch import Tensor

from bitgate.ops import native_kernel
from bitgate.weights import (
    BINARY,
    Categorical,
    CategoricalWeights,
    Gaussian,
    Quantized,
    WeightDistribution,
    Weights,
    sample_together,
)
from tests.tolerances import EXACT, FLOAT64_PARITY, assert_near

SPECS: list[Weights] = [
    Categorical(),
    Categorical(BINARY, temperature=0.5, straight_through=False),
    Quantized(),
    Quantized(rule="threshold"),
    Gaussian(),
]


def make(spec: Weights, *columns: int) -> list[WeightDistribution]:
    torch.manual_seed(1)
    found = [spec.make(6, n, 0.5, dtype=torch.float64) for n in columns]
    return [matrix for matrix in found if isinstance(matrix, WeightDistribution)]


def one_by_one(matrices: list[WeightDistribution], log_scale: Tensor | None) -> list[Tensor]:
    rows = 1.0 if log_scale is None else log_scale.exp().repeat_interleave(6 // len(log_scale)).unsqueeze(1)
    return [matrix.sample() * rows for matrix in matrices]


def compare(matrices: list[WeightDistribution], n_scales: int) -> None:
    log_scale = torch.linspace(-1, 0.5, n_scales, dtype=torch.float64).requires_grad_() if n_scales else None
    leaves = [p for m in matrices for p in m.parameters()] + ([] if log_scale is None else [log_scale])
    results = []
    for draw in (sample_together, one_by_one):
        torch.manual_seed(2)
        drawn = draw(matrices, log_scale)
        loss = torch.stack([(w * torch.linspace(-1, 2, w.numel()).view_as(w)).sum() for w in drawn]).sum()
        results.append((drawn, torch.autograd.grad(loss, leaves), torch.get_rng_state()))
    (found, grads, state), (expected, expected_grads, expected_state) = results
    for a, b in zip(found, expected, strict=True):
        assert_near(a, b, EXACT, "weights")
    for a, b in zip(grads, expected_grads, strict=True):
        assert_near(a, b, FLOAT64_PARITY, "gradient")
    assert_near(state, expected_state, EXACT, "random state")


@pytest.mark.parametrize("spec", SPECS, ids=repr)
@pytest.mark.parametrize("n_scales", [0, 1, 3, 6])
@pytest.mark.parametrize("columns", [(4,), (1, 7), (5, 3, 16)])
def test_the_same_as_one_by_one(spec: Weights, n_scales: int, columns: tuple[int, ...]) -> None:
    compare(make(spec, *columns), n_scales)


def test_the_same_in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_kernel, "extension", None)
    for spec in SPECS:
        compare(make(spec, 2, 9), 3)


def test_kinds_and_options_may_be_mixed() -> None:
    compare([*make(Categorical(), 4), *make(Quantized(), 3)], 3)
    compare([*make(Categorical(), 4), *make(Categorical(temperature=0.3), 3)], 3)


def test_a_derived_class_samples_in_its_own_way() -> None:
    class Ones(CategoricalWeights):
        def sample(self, *, generator: torch.Generator | None = None) -> Tensor:
            return torch.ones(6, 2)

    (drawn,) = sample_together([Ones(Categorical(), 6, 2)], torch.zeros(3))
    assert_near(drawn, torch.ones(6, 2), EXACT)


@pytest.mark.parametrize("spec", [Categorical(), Quantized()], ids=repr)
def test_one_of_them_may_be_left_out(spec: Weights) -> None:
    first, second = make(spec, 4, 3)
    log_scale = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    second.requires_grad_(False)
    drawn = sample_together([first, second], log_scale)
    drawn[1].sum().backward()
    assert all(p.grad is None for p in (*first.parameters(), *second.parameters()))
    assert_near(log_scale.grad, drawn[1].detach().view(2, -1).sum(1), FLOAT64_PARITY)


def test_there_is_no_second_derivative() -> None:
    (weights,) = make(Categorical(straight_through=False), 4)
    (parameter,) = weights.parameters()
    (drawn,) = sample_together([weights], torch.zeros(3, dtype=torch.float64))
    (first,) = torch.autograd.grad(drawn.square().sum(), parameter, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
