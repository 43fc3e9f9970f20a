"""The border to torch.nn: round trips, coupled gates, scales, refusals."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bitgate.nn
from bitgate.errors import UnsupportedError
from bitgate.nn import fix_weights, from_torch, to_torch
from bitgate.weights import Categorical, Gaussian, Quantized, Weights
from tests.nn.cases import Case, assert_same, make_inputs, run
from tests.tolerances import EXACT, FLOAT32_PARITY, FLOAT64_PARITY, assert_near

SPECS: list[Weights] = [Categorical(), Categorical((-1.0, 1.0), trick="lr"), Quantized(), Gaussian()]
FORMS: list[dict[str, Any]] = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"bias": False, "batch_first": True},
    {"proj_size": 2, "num_layers": 2},
]


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("training", [True, False])
def test_round_trip_changes_nothing(kind: str, form: dict[str, Any], training: bool) -> None:
    form = {name: value for name, value in form.items() if kind == "LSTM" or name != "proj_size"}
    case = Case(kind=kind, training=training, **form)
    theirs = case.theirs()
    ours = from_torch(theirs)
    back = to_torch(ours)
    assert type(back) is type(theirs)
    assert repr(back) == repr(theirs)
    assert ours.training is back.training is training
    leaves = make_inputs(case)
    expected = run(theirs, case, leaves)
    assert_same(run(ours, case, leaves), expected, FLOAT64_PARITY)
    assert_same(run(back, case, leaves), expected, EXACT)


def test_from_torch_copies() -> None:
    theirs = nn.LSTM(3, 4)
    ours: Any = from_torch(theirs)
    with torch.no_grad():
        theirs.weight_ih_l0.zero_()
    assert ours.weight_ih_l0.abs().min() > 0


def test_linear_goes_both_ways() -> None:
    theirs = nn.Linear(3, 4, bias=False, dtype=torch.float64)
    ours = from_torch(theirs)
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    assert_near(ours(x), theirs(x), EXACT, "output")
    assert_near(to_torch(ours)(x), theirs(x), EXACT, "output")


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_discrete_weights_become_floats_times_scales(spec: Weights, coupled: bool, form: dict[str, Any]) -> None:
    ours = bitgate.nn.LSTM(3, 4, weights=spec, coupled=coupled, **form).eval()
    scramble_scales(ours)
    x = torch.randn(5, 5, 3)
    expected, (h, c) = ours(x)
    output, (their_h, their_c) = to_torch(ours)(x)
    for name, actual, value in (("output", output, expected), ("h_n", their_h, h), ("c_n", their_c, c)):
        assert_near(actual, value, FLOAT32_PARITY, name)


def scramble_scales(module: nn.Module) -> None:
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "log_scale" in name:
                parameter.add_(torch.randn_like(parameter))


@pytest.mark.parametrize("spec", SPECS)
def test_discrete_gru_and_linear_become_floats_times_scales(spec: Weights) -> None:
    gru, linear = bitgate.nn.GRU(3, 4, weights=spec).eval(), bitgate.nn.Linear(3, 4, weights=spec).eval()
    scramble_scales(gru)
    scramble_scales(linear)
    x = torch.randn(5, 2, 3)
    assert_near(to_torch(gru)(x)[0], gru(x)[0], FLOAT32_PARITY, "output")
    assert_near(to_torch(linear)(x), linear(x), FLOAT32_PARITY, "output")


def test_a_lost_scale_is_noticed() -> None:
    ours = bitgate.nn.LSTM(3, 4, weights="ternary").eval()
    theirs = to_torch(ours)
    scramble_scales(ours)
    x = torch.randn(5, 2, 3)
    with pytest.raises(AssertionError, match="output differs"):
        assert_near(theirs(x)[0], ours(x)[0], FLOAT32_PARITY, "output")


def test_map_is_repeatable_and_samples_differ() -> None:
    ours = bitgate.nn.Linear(9, 9, weights="ternary")
    weights: list[Tensor] = [to_torch(ours, mode).weight.detach() for mode in ("map", "map", "sample", "sample")]  # type: ignore[union-attr]
    assert_near(weights[0], weights[1], EXACT, "MAP")
    assert not torch.equal(weights[2], weights[3])
    fixed: Any = fix_weights(ours)
    assert_near(weights[0], fixed.weight.mode() * ours.scale().detach(), EXACT, "weight")  # type: ignore[union-attr]


def test_what_torch_cannot_express_is_refused_by_name() -> None:
    for module in (bitgate.nn.LSTM(3, 4, gates={"o": 2}), bitgate.nn.LSTM(3, 4, gates={"o": 2}, coupled=True)):
        with pytest.raises(UnsupportedError, match=r"to_torch: torch.nn has no staircase gates.*\{'o': 2\}"):
            to_torch(module)
    with pytest.raises(UnsupportedError, match="to_torch: Conv1d, expected bitgate's LSTM, GRU or Linear"):
        to_torch(nn.Conv1d(1, 1, 1))  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match=r"from_torch: RNN, expected torch\.nn\.LSTM, GRU or Linear"):
        from_torch(nn.RNN(2, 2))  # type: ignore[arg-type]
