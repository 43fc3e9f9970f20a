import pytest
import torch

from bitgate.errors import ArgumentError
from bitgate.nn import LSTM, Linear, fix_weights
from bitgate.research import Enumeration, all_codes
from bitgate.research.enumeration import log_probs_of
from bitgate.research.estimators import draw_codes
from bitgate.weights import Categorical

EXACT = {"rtol": 1e-12, "atol": 1e-12}  # the same float64 formulas in another order of summation


def module_loss(problem, codes):
    """Loss of one network by the library's own modules, its codes fixed as the mode of a posterior."""
    (rows, input_size), (_, hidden_size), (n_classes, _) = problem.shapes
    weights = Categorical(problem.levels)
    lstm = LSTM(input_size, hidden_size, coupled=True, weights=weights, dtype=torch.float64)
    readout = Linear(hidden_size, n_classes, weights=weights, dtype=torch.float64)
    onehot = torch.nn.functional.one_hot(codes, len(problem.levels)).double()
    matrices = (lstm.weight_ih_l0, lstm.weight_hh_l0, readout.weight)
    parts = onehot.split([rows * input_size, rows * hidden_size, n_classes * hidden_size])
    with torch.no_grad():
        for matrix, part in zip(matrices, parts, strict=True):
            matrix.logits.copy_(part.T.reshape(matrix.logits.shape))
        lstm.bias_l0.copy_(problem.gate_bias)
        lstm.log_scale_l0.copy_(problem.gate_scale.log())
        readout.log_scale.copy_(problem.readout_scale.log())
        readout.bias.copy_(problem.readout_bias)
        _, (h, _) = fix_weights(lstm)(problem.x)
        return torch.nn.functional.cross_entropy(fix_weights(readout)(h[0]), problem.labels)


@pytest.mark.parametrize("case", ["binary", "ternary"])
def test_losses_equal_the_modules_network_by_network(case, request):
    case = request.getfixturevalue(case)
    chosen = torch.randperm(len(case.enumeration.codes), generator=torch.Generator().manual_seed(0))[:64]
    theirs = torch.stack([module_loss(case.problem, case.enumeration.codes[k]) for k in chosen])
    torch.testing.assert_close(case.enumeration.losses[chosen], theirs, **EXACT)
    # The comparison can fail: networks that differ in one readout weight have other losses.
    flipped = case.enumeration.codes[chosen].clone()
    flipped[:, -1] = (flipped[:, -1] + 1) % len(case.problem.levels)
    others = torch.stack([module_loss(case.problem, codes) for codes in flipped])
    assert (others - theirs).abs().min() > 1e-9  # a thousand times the tolerance


@pytest.mark.parametrize("n_levels", [2, 3])
def test_all_codes_are_all_and_distinct(n_levels):
    codes = all_codes(n_levels, 5)
    assert codes.shape == (n_levels**5, 5)
    assert len(codes.unique(dim=0)) == n_levels**5
    assert set(codes.flatten().tolist()) == set(range(n_levels))


def test_too_many_networks_are_refused():
    with pytest.raises(ArgumentError, match=r"17 weights of 2 levels are 131072 networks"):
        all_codes(2, 17)


@pytest.mark.parametrize("case", ["binary", "ternary"])
def test_probabilities_sum_to_one(case, request):
    case = request.getfixturevalue(case)
    total = log_probs_of(case.logits, case.enumeration.codes).exp().sum()
    torch.testing.assert_close(total, torch.ones((), dtype=torch.float64), **EXACT)


@pytest.mark.parametrize("case", ["binary", "ternary"])
def test_expected_loss_equals_brute_force_monte_carlo(case, request):
    case = request.getfixturevalue(case)
    codes = draw_codes(case.logits, 40000, generator=torch.Generator().manual_seed(1))
    losses = case.problem.losses(torch.tensor(case.problem.levels, dtype=torch.float64)[codes])
    standard_error = losses.std() / len(losses) ** 0.5
    exact = case.enumeration.expected_loss(case.logits)
    assert abs(losses.mean() - exact) < 4 * standard_error
    assert abs(losses.mean() - case.enumeration.losses.mean()) > 4 * standard_error  # the posterior matters


def test_gradient_equals_finite_differences(binary):
    step = 1e-5
    for k, n in ((0, 0), (1, 5), (0, 11)):
        shift = torch.zeros_like(binary.logits)
        shift[k, n] = step
        up, down = (binary.enumeration.expected_loss(binary.logits + s * shift) for s in (1, -1))
        # Central differences of a loss near 1: step ** 2 = 1e-10 of truncation, 1e-16 / step = 1e-11 of rounding.
        assert float((up - down) / (2 * step)) == pytest.approx(float(binary.exact[k, n]), abs=1e-9)


def test_gradient_sums_to_zero_over_the_levels(ternary):
    torch.testing.assert_close(ternary.exact.sum(dim=0), torch.zeros(9, dtype=torch.float64), **EXACT)


def test_settled_posterior_has_the_loss_of_its_network(binary):
    codes = binary.enumeration.codes[1234]
    logits = 80.0 * torch.nn.functional.one_hot(codes, 2).T.double()
    assert float(Enumeration(binary.problem).expected_loss(logits)) == pytest.approx(
        float(module_loss(binary.problem, codes)), abs=1e-12
    )
