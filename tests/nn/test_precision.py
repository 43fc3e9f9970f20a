"""Autocast, low precision and torch.compile."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bitgate.nn import GRU, LSTM, SequenceClassifier
from bitgate.weights import Categorical, Quantized
from tests.tolerances import AUTOCAST, EXACT, FLOAT32_PARITY, assert_near

MODELS: dict[str, dict[str, Any]] = {
    "lstm": {},
    "coupled": {"coupled": True},
    "gru": {"cell": "gru"},
    "ternary": {"weights": "ternary", "coupled": True, "gates": {"g": 2, "o": 4}},
    "quantized": {"weights": Quantized()},
    "bidirectional": {"bidirectional": True, "weights": "binary"},
    "local": {"weights": Categorical(trick="lr")},
}
X = torch.linspace(-2, 2, 4 * 8 * 3).view(4, 8, 3).sin()
LENGTHS = torch.tensor([8, 3, 5, 1])


def forward_and_backward(model: nn.Module, *, autocast: bool) -> tuple[Tensor, list[Tensor]]:
    model.zero_grad()
    torch.manual_seed(4)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        logits = model(X, LENGTHS)
    logits.float().square().sum().backward()
    return logits.detach().float(), [p.grad for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("name", MODELS)
def test_autocast_is_finite_and_near_float32(name: str) -> None:
    torch.manual_seed(1)
    model = SequenceClassifier(3, 4, (8, 6), **MODELS[name])
    expected, _ = forward_and_backward(model, autocast=False)
    logits, grads = forward_and_backward(model, autocast=True)
    assert len(grads) == len(list(model.parameters()))
    assert all(torch.isfinite(g).all() for g in grads)
    assert all(g.dtype == torch.float32 for g in grads)
    if name == "ternary":  # a staircase gate may flip where its pre-activation was rounded
        assert (logits - expected).abs().median() < AUTOCAST.atol
    else:
        assert_near(logits, expected, AUTOCAST, "logits")


@pytest.mark.parametrize("weights", ["continuous", "ternary"])
@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_a_bfloat16_module_is_near_the_float32_one(kind: Any, weights: str) -> None:
    torch.manual_seed(1)
    module = kind(3, 6, weights=weights, batch_first=True).eval()
    expected = module(X)[0].detach()
    output = module.to(torch.bfloat16)(X.bfloat16())[0]
    assert output.dtype == torch.bfloat16
    assert_near(output.detach().float(), expected, AUTOCAST, "output")


@pytest.mark.slow  # and dynamo itself warns while it traces
@pytest.mark.filterwarnings(r"ignore:The \.grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.filterwarnings(r"ignore:.*autograd\.function\.Function.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("name", ["lstm", "coupled", "gru", "ternary", "bidirectional"])
def test_a_compiled_model_computes_the_same(name: str) -> None:
    torch.manual_seed(1)
    model = SequenceClassifier(3, 4, (8, 6), **MODELS[name])
    torch._dynamo.reset()
    compiled: Any = torch.compile(model, backend="aot_eager")
    for train in (True, False):
        model.train(train)
        for steps in (8, 5):  # another T must not break it
            results = []
            for function in (model, compiled):
                model.zero_grad()
                torch.manual_seed(4)
                logits = function(X[:, :steps], LENGTHS.clamp_max(steps))
                logits.square().sum().backward()
                grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
                results.append((logits.detach(), grads))
            (expected, expected_grads), (logits, grads) = results
            assert_near(logits, expected, FLOAT32_PARITY, "logits")
            for actual, value in zip(grads, expected_grads, strict=True):
                assert_near(actual, value, FLOAT32_PARITY, "gradient")


def test_no_step_of_a_forward_pass_depends_on_the_global_dtype() -> None:
    torch.manual_seed(1)
    model = SequenceClassifier(3, 4, (8, 6), weights="ternary", gates={"o": 3}, coupled=True)
    torch.manual_seed(2)
    expected = model(X, LENGTHS)
    torch.set_default_dtype(torch.float64)
    try:
        torch.manual_seed(2)
        found = model(X, LENGTHS)
    finally:
        torch.set_default_dtype(torch.float32)
    assert_near(found, expected, EXACT, "logits")
