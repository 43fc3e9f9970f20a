from functools import partial

import pytest
import torch

from bitgate.errors import ArgumentError, UnsupportedError
from bitgate.nn import LSTM
from bitgate.research import (
    arm,
    lr_trick,
    measure,
    r_trick,
    reinforce,
    reinforce_leave_one_out,
)
from bitgate.research.estimators import draw_codes, score
from bitgate.weights import BINARY, Categorical

# Probability that a test of an unbiased estimator fails for bad luck; the seeds are fixed, so it does not come and go.
LUCK = 1e-3
ALL = {
    "r": r_trick,
    "r-relaxed": partial(r_trick, straight_through=False),
    "lr": lr_trick,
    "reinforce": reinforce,
    "leave-one-out": reinforce_leave_one_out,
    "leave-one-out of 4": partial(reinforce_leave_one_out, n_networks=4),
}


def is_unbiased(estimator, case, n_draws=8192):
    found = measure(
        estimator, case.problem, case.logits, case.exact, n_draws, generator=torch.Generator().manual_seed(7)
    )
    return found.p_value > LUCK


def losses_of(case, codes):
    return case.problem.losses(torch.tensor(case.problem.levels, dtype=torch.float64)[codes])


@pytest.mark.parametrize("name", ["reinforce", "leave-one-out", "leave-one-out of 4"])
@pytest.mark.parametrize("case", ["binary", "ternary"])
def test_reinforce_is_unbiased(name, case, request):
    assert is_unbiased(ALL[name], request.getfixturevalue(case))


def test_arm_is_unbiased(binary):
    assert is_unbiased(arm, binary)


@pytest.mark.parametrize(("sign", "expected"), [(1, True), (-1, False)])
def test_arm_with_a_flipped_sign_is_found_out(binary, sign, expected):
    def twin(problem, logits, n_samples, *, generator):
        phi = logits[1] - logits[0]
        u = torch.rand(n_samples, problem.n_weights, dtype=torch.float64, generator=generator)
        first, second = losses_of(binary, (u > (-phi).sigmoid()).long()), losses_of(binary, (u < phi.sigmoid()).long())
        gradient = (first - sign * second).unsqueeze(1) * (u - 0.5)
        return torch.stack([-gradient, gradient], dim=1)

    assert is_unbiased(twin, binary) is expected


def test_baseline_that_includes_its_own_network_is_found_out(ternary):
    def wrong(problem, logits, n_samples, *, generator):
        return reinforce_leave_one_out(problem, logits, n_samples, generator=generator, n_networks=4) * 3 / 4

    assert not is_unbiased(wrong, ternary)


@pytest.mark.parametrize("name", ["r", "r-relaxed", "lr"])
@pytest.mark.parametrize("case", ["binary", "ternary"])
def test_bias_of_the_tricks_is_found(name, case, request):
    assert not is_unbiased(ALL[name], request.getfixturevalue(case))


def test_relaxation_loses_its_bias_at_low_temperature(binary):
    generator = torch.Generator().manual_seed(7)
    bias = [
        measure(
            partial(r_trick, temperature=t, straight_through=False),
            binary.problem,
            binary.logits,
            binary.exact,
            8192,
            generator=generator,
        ).bias
        for t in (2.0, 0.2)
    ]
    assert bias[1] < bias[0] / 2


@pytest.mark.parametrize("name", ALL)
def test_draws_have_the_shape_of_the_logits_and_follow_the_generator(name, ternary):
    draws = [
        ALL[name](ternary.problem, ternary.logits, 5, generator=torch.Generator().manual_seed(s)) for s in (3, 3, 4)
    ]
    assert draws[0].shape == (5, 3, 9)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    # In exact arithmetic every draw sums to zero over the levels; 1e-12 is rounding of terms near 1.
    torch.testing.assert_close(draws[0].sum(dim=1), torch.zeros(5, 9, dtype=torch.float64), rtol=0, atol=1e-12)


def test_lr_trick_leaves_the_global_generator_alone(binary):
    before = torch.random.get_rng_state()
    lr_trick(binary.problem, binary.logits, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(before, torch.random.get_rng_state())


def test_lr_losses_have_the_distribution_of_the_library_layer(binary):
    problem = binary.problem
    weights = Categorical(BINARY, trick="lr")
    lstm = LSTM(2, 1, coupled=True, weights=weights, dtype=torch.float64)
    matrix_ih, matrix_hh, matrix_out = (m.split([6, 3, 3])[k] for k, m in enumerate([binary.logits.T] * 3))
    with torch.no_grad():
        lstm.weight_ih_l0.logits.copy_(matrix_ih.T.view(2, 3, 2))
        lstm.weight_hh_l0.logits.copy_(matrix_hh.T.view(2, 3, 1))
        lstm.bias_l0.copy_(problem.gate_bias)
        lstm.log_scale_l0.copy_(problem.gate_scale.log())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            n = 5000
            _, (h, _) = lstm(problem.x.repeat(1, n, 1))
            probs = matrix_out.T.softmax(dim=0)
            mean, var = probs[1] - probs[0], 4 * probs[0] * probs[1]
            scale = problem.readout_scale
            noise = torch.randn(h.shape[1], 3, dtype=torch.float64)
            logits = scale * h[0] * mean + problem.readout_bias + scale * h[0].abs() * var.sqrt() * noise
            theirs = torch.nn.functional.cross_entropy(logits, problem.labels.repeat(n), reduction="none")
            theirs = theirs.view(n, -1).mean(dim=1)
            all_mean, all_var = (
                torch.cat([m.flatten() for m in parts])
                for parts in (
                    (lstm.weight_ih_l0.mean(), lstm.weight_hh_l0.mean(), mean),
                    (lstm.weight_ih_l0.var(), lstm.weight_hh_l0.var(), var),
                )
            )
            ours = problem.losses_by_moments(all_mean.expand(n, -1), all_var.expand(n, -1))
    standard_error = ((ours.var() + theirs.var()) / n) ** 0.5
    assert abs(ours.mean() - theirs.mean()) < 4 * standard_error
    # Relative error of a variance of n draws is about sqrt(2 / n) = 0.02 for normal losses; both have one.
    assert float(ours.var() / theirs.var()) == pytest.approx(1, abs=0.12)


@pytest.mark.parametrize("case", ["binary", "ternary"])
def test_codes_are_drawn_with_their_probabilities(case, request):
    case = request.getfixturevalue(case)
    n = 40000
    codes = draw_codes(case.logits, n, generator=torch.Generator().manual_seed(2))
    probs = case.logits.softmax(dim=0)
    shares = torch.nn.functional.one_hot(codes, len(probs)).double().mean(dim=0).T
    assert ((shares - probs).abs() < 4.5 * (probs * (1 - probs) / n).sqrt()).all()
    assert not ((shares.flip(0) - probs).abs() < 4.5 * (probs * (1 - probs) / n).sqrt()).all()


def test_score_is_the_gradient_of_the_log_probability(ternary):
    codes = ternary.enumeration.codes[[0, 777, 19682]]
    logits = ternary.logits.clone().requires_grad_()
    for one, found in zip(codes, score(ternary.logits, codes), strict=True):
        log_prob = torch.distributions.Categorical(logits=logits.T).log_prob(one).sum()
        torch.testing.assert_close(found, torch.autograd.grad(log_prob, logits)[0])


def test_arm_refuses_three_levels(ternary):
    with pytest.raises(UnsupportedError, match="3 levels, expected 2"):
        arm(ternary.problem, ternary.logits, 1, generator=torch.Generator())


def test_leave_one_out_needs_two_networks(binary):
    with pytest.raises(ArgumentError, match="n_networks: 1"):
        reinforce_leave_one_out(binary.problem, binary.logits, 1, generator=torch.Generator(), n_networks=1)
