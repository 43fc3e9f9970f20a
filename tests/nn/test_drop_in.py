"""bitgate.nn.LSTM and GRU with their defaults are torch.nn's, for every combination of arguments."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import nn

import bitgate.nn
from tests.nn.cases import BACKENDS, Case, assert_same, backend, cases, make_inputs, run
from tests.tolerances import EXACT, FLOAT32_ROUNDING, FLOAT64_PARITY, assert_near

N_FAST, N_SLOW = 30, 170  # examples a kind; each runs on both backends


def check_drop_in(case: Case) -> None:
    theirs = case.theirs()
    ours = case.ours(theirs)
    leaves = make_inputs(case)
    expected = run(theirs, case, leaves)
    for name in BACKENDS:
        with backend(name):
            assert_same(run(ours, case, leaves), expected, FLOAT64_PARITY)


def check_state_dict(case: Case) -> None:
    theirs = case.theirs()
    ours = case.ours(theirs)  # loads theirs strictly
    shapes = [{k: v.shape for k, v in module.state_dict().items()} for module in (ours, theirs)]
    assert list(shapes[0].items()) == list(shapes[1].items())
    back = case.theirs()
    with torch.no_grad():
        [p.zero_() for p in back.parameters()]
    back.load_state_dict(ours.state_dict(), strict=True)
    for name, value in theirs.state_dict().items():
        assert_near(back.state_dict()[name], value, EXACT, name)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_outputs_states_gradients_and_random_state_equal_torch(kind: str) -> None:
    @settings(max_examples=N_FAST)
    @given(case=cases(kind))
    def check(case: Case) -> None:
        check_drop_in(case)
        check_state_dict(case)

    check()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_outputs_states_gradients_and_random_state_equal_torch_at_length(kind: str) -> None:
    @settings(max_examples=N_SLOW)
    @given(case=cases(kind, largest=8))
    def check(case: Case) -> None:
        check_drop_in(case)
        check_state_dict(case)

    check()


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("form", ["padded", "sorted", "unsorted"])
def test_dropout_draws_torchs_masks(kind: str, form: str) -> None:
    lengths = (5, 3, 2) if form != "unsorted" else (2, 5, 3)
    check_drop_in(Case(kind=kind, num_layers=3, dropout=0.5, bidirectional=True, form=form, lengths=lengths))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("form", ["padded", "unbatched", "sorted"])
def test_one_step_of_one_sequence_equals_torch(kind: str, form: str) -> None:
    check_drop_in(Case(kind=kind, form=form, lengths=(1,), hidden_size=1, input_size=1))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_the_same_seed_gives_torchs_initial_parameters(kind: str) -> None:
    modules = []
    for package in (nn, bitgate.nn):
        torch.manual_seed(3)
        modules.append(getattr(package, kind)(3, 5, num_layers=2, bidirectional=True))
    for (name, expected), actual in zip(modules[0].named_parameters(), modules[1].parameters(), strict=True):
        assert_near(actual, expected, FLOAT32_ROUNDING, name)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_no_gradient_is_kept_and_nothing_changes_under_no_grad(kind: str) -> None:
    case = Case(kind=kind, form="padded", training=False)
    ours = case.ours(case.theirs())
    x = make_inputs(case)["x"].detach()
    with torch.no_grad():
        quiet = ours(x)[0]
    assert not quiet.requires_grad
    assert_near(quiet, ours(x)[0].detach(), FLOAT64_PARITY)


# Sabotage: each of these breaks the module a little, and the comparison above must notice.


def swap_gates(module: Any, leaves: dict[str, Any]) -> None:
    with torch.no_grad():
        first, second, *rest = module.weight_hh_l0.split(module.hidden_size)
        module.weight_hh_l0.copy_(torch.cat([second, first, *rest]))


def negate_bias(module: Any, leaves: dict[str, Any]) -> None:
    with torch.no_grad():
        module.bias_ih_l0.neg_()


def drop_state(module: Any, leaves: dict[str, Any]) -> None:
    leaves["h_0"] = torch.zeros_like(leaves["h_0"]).requires_grad_()


def swap_directions(module: Any, leaves: dict[str, Any]) -> None:
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        forward, reverse = getattr(module, name), getattr(module, name + "_reverse")
        setattr(module, name, reverse)
        setattr(module, name + "_reverse", forward)


def drop_more(module: Any, leaves: dict[str, Any]) -> None:
    module.dropout = 0.6


SABOTAGES = [swap_gates, negate_bias, drop_state, swap_directions, drop_more]


@pytest.mark.parametrize("sabotage", SABOTAGES)
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("name", BACKENDS)
def test_sabotage_is_noticed(sabotage: Callable[..., None], kind: str, name: str) -> None:
    case = Case(kind=kind, num_layers=2, bidirectional=True, dropout=0.3)
    theirs = case.theirs()
    expected = run(theirs, case, make_inputs(case))
    ours, leaves = case.ours(theirs), make_inputs(case)
    with backend(name):
        assert_same(run(ours, case, leaves), expected, FLOAT64_PARITY)
        sabotage(ours, leaves)
        broken = run(ours, case, leaves)
    with pytest.raises(AssertionError, match="differs"):
        assert_same(broken, expected, FLOAT64_PARITY)
