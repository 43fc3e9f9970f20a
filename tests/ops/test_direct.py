"""Operators past the dispatcher: the same numbers and gradients, and the operator wherever something listens."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import bitgate.nn
from bitgate.ops import native_kernel
from bitgate.ops.direct import directly, is_plain
from bitgate.weights import TERNARY, Quantized, draw_weights
from tests.tolerances import EXACT, assert_near

if native_kernel.extension is None:
    pytest.skip("bitgate._train is not built", allow_module_level=True)


class Names(TorchDispatchMode):
    """Records which operators run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.found.add(str(func))
        return func(*args, **(kwargs or {}))


def step(module: torch.nn.Module, x: Tensor) -> list[Tensor]:
    torch.manual_seed(0)
    output = module(x)[0]
    return [output.detach(), *torch.autograd.grad(output.square().sum(), list(module.parameters()))]


@pytest.mark.parametrize("weights", ["continuous", "ternary", Quantized()])
def test_the_operators_compute_the_same(weights: str | Quantized) -> None:
    module, x = bitgate.nn.LSTM(3, 5, coupled=True, weights=weights), torch.randn(4, 2, 3)
    directly_found = step(module, x)
    with Names() as names:
        by_operators = step(module, x)
    for a, b in zip(directly_found, by_operators, strict=True):
        assert_near(a, b, EXACT)
    wanted = {"recurrent_layer", "recurrent_layer_backward"}
    wanted |= {"continuous": set(), "ternary": {"gumbel_weights", "discrete_backward"}}.get(
        str(weights), {"rounded_weights", "discrete_backward"}
    )
    assert {f"bitgate.{name}.default" for name in wanted} <= names.found


def test_what_listens_gets_the_operator() -> None:
    plain = torch.zeros(2)
    assert is_plain([plain, torch.nn.Parameter(plain), None, 1, 2.0, "a", [1]])
    with Names():
        assert not is_plain([plain])
    with torch._subclasses.FakeTensorMode() as mode:
        fake = mode.from_tensor(plain)
    assert not is_plain([fake])
    seen = []

    def note(x: Tensor) -> Tensor:
        seen.append(is_plain([x]))
        return x.sum()

    torch.func.grad(note)(plain)
    with pytest.warns(DeprecationWarning, match="torch.jit.trace"):
        torch.jit.trace(note, plain, check_trace=False)
    assert seen == [False, False]


def test_no_graph_is_made_without_gradients() -> None:
    calls = []
    run = directly(None, lambda x: calls.append(x) or x + 1, lambda *_: None, lambda ctx, grad: grad)
    x = torch.zeros(2, requires_grad=True)
    assert run(x).requires_grad
    with torch.no_grad():
        assert not run(x).requires_grad
    assert len(calls) == 2


def test_draws_and_roundings_compile() -> None:
    log_scale = torch.linspace(-1, 0, 3, requires_grad=True)
    logits = torch.randn(3, 6, 5, requires_grad=True)
    noise = torch.empty_like(logits).exponential_()

    def total(logits: Tensor, log_scale: Tensor) -> Tensor:
        return draw_weights(logits, TERNARY, noise, log_scale=log_scale).square().sum()

    compiled = torch.compile(total, backend="aot_eager", fullgraph=True)
    expected = torch.autograd.grad(total(logits, log_scale), (logits, log_scale))
    for a, b in zip(torch.autograd.grad(compiled(logits, log_scale), (logits, log_scale)), expected, strict=True):
        assert_near(a, b, EXACT)


def test_a_second_derivative_of_the_loop_is_refused() -> None:
    module, x = bitgate.nn.LSTM(3, 5, coupled=True), torch.randn(4, 2, 3, requires_grad=True)
    (first,) = torch.autograd.grad(module(x)[0].square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="recurrent_layer_backward"):
        first.sum().backward()
