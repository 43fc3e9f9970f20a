"""Modules as torch users treat them: copies, files, devices, types, repr, reset; every configuration learns."""

import copy
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bitgate.nn
from bitgate.nn import GRU, LSTM, Linear
from bitgate.weights import BINARY, Categorical, Gaussian, Quantized, Weights
from tests.tolerances import EXACT, FLOAT32_ROUNDING, assert_near

SPECS: dict[str, str | Weights] = {
    "continuous": "continuous",
    "ternary": "ternary",
    "relaxed": Categorical(BINARY, straight_through=False),
    "local": Categorical(trick="lr"),
    "four levels": Categorical((-2.0, -0.5, 0.5, 2.0)),
    "quantized": Quantized(),
    "threshold": Quantized(rule="threshold"),
    "gaussian": Gaussian(),
    "local gaussian": Gaussian(trick="lr"),
}
STACKS: dict[str, Any] = {
    "lstm": lambda w: LSTM(3, 5, weights=w),
    "deep lstm": lambda w: LSTM(3, 5, 2, bidirectional=True, proj_size=2, weights=w, gates={"f": 3, "o": 4}),
    "coupled": lambda w: LSTM(3, 5, 2, weights=w, coupled=True, gates={"g": 2, "o": 2}),
    "coupled projection": lambda w: LSTM(3, 5, bias=False, proj_size=2, weights=w, coupled=True),
    "gru": lambda w: GRU(3, 5, 2, bidirectional=True, weights=w, gates={"z": 4}),
    "linear": lambda w: Linear(3, 5, weights=w),
}


def outputs(module: nn.Module, x: Tensor) -> Tensor:
    torch.manual_seed(1)
    result = module(x)
    return result if isinstance(result, Tensor) else result[0]


@pytest.fixture(params=[(s, w) for s in STACKS for w in SPECS], ids=" ".join)
def module(request: pytest.FixtureRequest) -> nn.Module:
    stack, spec = request.param
    return STACKS[stack](SPECS[spec])


X = torch.linspace(-2, 2, 6 * 4 * 3).view(6, 4, 3)


def test_gradients_reach_every_parameter(module: nn.Module) -> None:
    (outputs(module, X) * torch.randn(6, 4, outputs(module, X).shape[-1])).sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
        assert torch.isfinite(parameter.grad).all(), f"{name} has a gradient that is not finite"
        assert parameter.grad.abs().max() > 0, f"{name} has the gradient 0"


def test_deepcopy_pickle_and_state_dict_keep_everything(module: nn.Module) -> None:
    with torch.no_grad():
        [p.add_(0.1 * torch.randn_like(p)) for p in module.parameters()]
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    loaded = copy.deepcopy(module)
    with torch.no_grad():
        [p.zero_() for p in loaded.parameters()]
    loaded.load_state_dict(module.state_dict(), strict=True)
    for train in (True, False):
        expected = outputs(module.train(train), X)
        for other in (copy.deepcopy(module), torch.load(io.BytesIO(buffer.getvalue()), weights_only=False), loaded):
            assert_near(outputs(other.train(train), X), expected, EXACT, f"output with train={train}")


def test_a_state_dict_file_loads_without_pickled_code(module: nn.Module, tmp_path: Path) -> None:
    torch.save(module.state_dict(), tmp_path / "state.pt")
    module.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True), strict=True)


def test_float64_gives_float64_and_the_same_result(module: nn.Module) -> None:
    expected = outputs(module.eval(), X)
    double = outputs(module.to(torch.float64), X.double())
    assert double.dtype == torch.float64
    assert_near(double.float(), expected, FLOAT32_ROUNDING, "output")


def test_evaluation_uses_the_mode(module: nn.Module) -> None:
    module.eval()
    fixed = bitgate.nn.fix_weights(module)
    assert_near(outputs(fixed, X), outputs(module, X), EXACT, "output")
    torch.manual_seed(9)
    assert_near(outputs(module, X), outputs(module, X), EXACT, "output")


def test_reset_parameters_draws_what_construction_draws(module: nn.Module) -> None:
    """The same shapes, ranges and scales as at the start, other random values."""
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    with torch.no_grad():
        [p.fill_(77.0) for p in module.parameters()]
    module.reset_parameters()  # type: ignore[operator]
    for name, parameter in module.named_parameters():
        assert (parameter != 77).all(), f"{name} was not reset"
        if "log_scale" in name or "log_var" in name:
            assert_near(parameter.detach(), before[name], EXACT, name)
        else:
            assert not torch.equal(parameter, before[name]), f"{name} is the same again"


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("spec", ["continuous", "ternary", "quantized", "gaussian"])
def test_meta_construction_then_reset_gives_a_working_module(stack: str, spec: str) -> None:
    with torch.device("meta"):
        module = STACKS[stack](SPECS[spec])
    assert all(p.is_meta for p in module.parameters())
    module.to_empty(device="cpu").reset_parameters()
    assert torch.isfinite(outputs(module, X)).all()
    assert {k: v.shape for k, v in module.state_dict().items()} == {
        k: v.shape for k, v in STACKS[stack](SPECS[spec]).state_dict().items()
    }


def test_device_and_dtype_arguments_reach_every_parameter() -> None:
    for kind in (LSTM, GRU, Linear):
        module = kind(3, 4, device="meta", dtype=torch.float64, weights="ternary")
        assert {(p.device.type, p.dtype) for p in module.parameters()} == {("meta", torch.float64)}


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_repr_of_the_defaults_is_torchs(kind: str) -> None:
    for arguments in ({}, {"num_layers": 2, "bias": False, "batch_first": True, "dropout": 0.5, "bidirectional": True}):
        ours, theirs = (getattr(package, kind)(3, 4, **arguments) for package in (bitgate.nn, nn))
        assert repr(ours) == repr(theirs)
    assert repr(Linear(3, 4)) == repr(nn.Linear(3, 4))


def test_repr_names_what_is_ours() -> None:
    text = LSTM(3, 4, proj_size=2, coupled=True, gates={"o": 2}, weights=Quantized(BINARY)).extra_repr()
    assert text == "3, 4, proj_size=2, coupled=True, gates={'o': 2}, weights=" + repr(Quantized(BINARY))
    assert "weights=Categorical(levels=(-1.0, 0.0, 1.0), trick='r'" in Linear(3, 4, weights="ternary").extra_repr()


def test_all_weights_lie_in_torchs_order() -> None:
    arguments = {"num_layers": 2, "bidirectional": True, "proj_size": 2}
    ours, theirs = LSTM(3, 4, **arguments), nn.LSTM(3, 4, **arguments)
    ours.load_state_dict(theirs.state_dict())
    for actual, expected in zip(ours.all_weights, theirs.all_weights, strict=True):
        for a, e in zip(actual, expected, strict=True):
            assert_near(a, e, EXACT, "weight")


def test_flatten_parameters_is_accepted() -> None:
    module = LSTM(3, 4)
    before = outputs(module, X)
    module.flatten_parameters()
    assert_near(outputs(module, X), before, EXACT, "output")


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_dropout_in_one_layer_warns_at_the_callers_line(kind: Any) -> None:
    with pytest.warns(UserWarning, match="does nothing in one layer") as caught:
        kind(3, 4, dropout=0.5)
    assert caught[0].filename == __file__


def test_linear_equals_torch_and_starts_like_it() -> None:
    modules = []
    for package in (nn, bitgate.nn):
        torch.manual_seed(3)
        modules.append(package.Linear(7, 5))
    theirs, ours = modules
    for name, value in theirs.state_dict().items():
        assert_near(ours.state_dict()[name], value, FLOAT32_ROUNDING, name)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(2, 3, 7)
    assert_near(ours(x), theirs(x), EXACT, "output")


def test_scales_start_at_two_over_the_root_of_the_fan_in() -> None:
    module = LSTM(3, 5, 2, bidirectional=True, proj_size=2, weights="ternary")
    expected = {"_l0": 3 + 2, "_l0_reverse": 3 + 2, "_l1": 4 + 2, "_l1_reverse": 4 + 2}
    for suffix, fan_in in expected.items():
        scale = module.scale(suffix)
        assert scale is not None
        assert_near(scale.detach(), torch.full((4,), 2 * fan_in**-0.5), FLOAT32_ROUNDING, suffix)
        assert_near(
            getattr(module, "log_scale_hr" + suffix).exp().detach(), torch.tensor([2 * 5**-0.5]), FLOAT32_ROUNDING
        )
    assert LSTM(3, 5).scale("_l0") is None
    assert LSTM(3, 5, weights=Gaussian()).scale("_l0") is None


def test_scales_of_two_level_gates_start_twice_as_large() -> None:
    module = LSTM(3, 5, weights="ternary", coupled=True, gates={"g": 2, "o": 3, "i": 2})
    scale = module.scale("_l0")
    assert scale is not None
    assert_near(scale.detach(), torch.tensor([4.0, 4.0, 2.0]) * 8**-0.5, FLOAT32_ROUNDING, "scale")  # i, g, o


def test_each_gate_has_its_own_scale() -> None:
    """Scaling one gate's rows equals scaling its weights."""
    module: Any = LSTM(3, 4, weights="ternary", coupled=True).eval()
    continuous: Any = LSTM(3, 4, coupled=True)
    with torch.no_grad():
        module.log_scale_l0.copy_(torch.tensor([0.3, -0.2, 0.9]))
        rows = module.log_scale_l0.exp().repeat_interleave(4)[:, None]
        continuous.weight_ih_l0.copy_(module.weight_ih_l0.mode() * rows)
        continuous.weight_hh_l0.copy_(module.weight_hh_l0.mode() * rows)
        continuous.bias_l0.copy_(module.bias_l0)
        wrong = copy.deepcopy(continuous)
        wrong.weight_ih_l0.copy_(module.weight_ih_l0.mode() * rows.flip(0))
    assert_near(outputs(module, X), outputs(continuous, X), EXACT, "output")
    with pytest.raises(AssertionError, match="output differs"):
        assert_near(outputs(module, X), outputs(wrong, X), EXACT, "output")
