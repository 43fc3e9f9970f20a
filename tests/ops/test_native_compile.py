"""torch.compile takes the native loop whole, with T and B free."""

import pytest
import torch
from torch import Tensor

import bitgate.nn
from bitgate.ops import LayerParameters, Recurrence, native_kernel, recurrent
from tests.tolerances import EXACT, assert_near

if native_kernel.extension is None:
    pytest.skip("bitgate._train is not built", allow_module_level=True)


def total(x: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor, bias: Tensor) -> Tensor:
    params = LayerParameters(w_ih, w_hh, bias)
    return recurrent(Recurrence("coupled_lstm", (2, 0, 2)), x, h, c, params, backend="native").output.square().sum()


def test_one_graph_serves_all_steps_and_batches() -> None:
    compiled = torch.compile(total, backend="aot_eager", dynamic=True, fullgraph=True)
    for steps, batch in ((4, 3), (7, 2), (9, 6)):
        # No two sizes are alike, or torch takes them for one and compiles again where they part.
        shapes = ((steps, batch, 11), (batch, 5), (batch, 5), (15, 11), (15, 5), (15,))
        tensors = [torch.randn(shape, requires_grad=True) for shape in shapes]
        expected = torch.autograd.grad(total(*tensors), tensors)
        before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        found = torch.autograd.grad(compiled(*tensors), tensors)
        new_graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"] - before
        assert new_graphs == (1 if steps == 4 else 0)
        for a, b in zip(found, expected, strict=True):
            assert_near(a, b, EXACT)


MODULES = [
    bitgate.nn.LSTM(3, 5, coupled=True, weights="ternary", gates={"o": 2}),
    bitgate.nn.QLLSTM(3, 5, block_size=2),
    bitgate.nn.QLLSTM(3, 5, skip="step", skip_per_unit=True, coupled=True),
]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_compiles(module: torch.nn.Module) -> None:
    module = module.eval()
    compiled = torch.compile(module, backend="aot_eager", dynamic=True)
    x = torch.randn(4, 3, 3)
    assert_near(compiled(x)[0], module(x)[0], EXACT)
