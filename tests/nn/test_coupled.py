"""The coupled LSTM with smooth gates is torch.nn.LSTM with negated forget rows."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

import bitgate.nn
from tests.nn.cases import BACKENDS, Case, Results, assert_same, backend, cases, make_inputs, run
from tests.tolerances import FLOAT64_PARITY, assert_near


def into_torch(ours: Any, case: Case, sign: float = -1.0) -> nn.LSTM:
    """torch's LSTM with f = sign * i; the right sign is -1."""
    theirs = case.theirs()
    state = {}
    for name, value in ours.state_dict().items():
        kind, suffix = name.split("_l")[0], "_l" + name.split("_l")[1]
        if kind == "weight_hr":
            state[name] = value
            continue
        i, g, o = value.chunk(3)
        rows = torch.cat([i, sign * i, g, o])
        biases = {f"bias_ih{suffix}": rows, f"bias_hh{suffix}": torch.zeros_like(rows)}
        state |= biases if kind == "bias" else {name: rows}
    theirs.load_state_dict(state, strict=True)
    return theirs


def map_back(results: Results) -> Results:
    """Gradients of torch's four row blocks to the three of the coupled cell."""
    mapped = {}
    for name, value in results.items():
        if not name.startswith("gradient of parameter") or "weight_hr" in name:
            mapped[name] = value
        elif "bias_hh" not in name:
            i, f, g, o = value.chunk(4)
            mapped[name.replace("bias_ih", "bias")] = torch.cat([i - f, g, o])
    return mapped


def make_coupled(case: Case) -> Any:
    torch.manual_seed(case.seed)
    return bitgate.nn.LSTM(**case.arguments, dtype=torch.float64, coupled=True).train(case.training)


@settings(max_examples=30)
@given(case=cases("LSTM"))
def test_coupled_cell_equals_torch_with_negated_forget_rows(case: Case) -> None:
    ours = make_coupled(case)
    leaves = make_inputs(case)
    expected = map_back(run(into_torch(ours, case), case, leaves))
    for name in BACKENDS:
        with backend(name):
            assert_same(run(ours, case, leaves), expected, FLOAT64_PARITY)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_forget_gate_of_the_wrong_sign_is_noticed(name: str) -> None:
    case = Case()
    ours = make_coupled(case)
    leaves = make_inputs(case)
    with backend(name):
        actual = run(ours, case, leaves)
    with pytest.raises(AssertionError, match="output differs"):
        assert_same(actual, map_back(run(into_torch(ours, case, sign=1.0), case, leaves)), FLOAT64_PARITY)


def test_parameters_have_three_row_blocks_and_one_bias() -> None:
    state = bitgate.nn.LSTM(3, 4, coupled=True).state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == {
        "weight_ih_l0": (12, 3),
        "weight_hh_l0": (12, 4),
        "bias_l0": (12,),
    }


def test_the_cell_state_never_leaves_one() -> None:
    module = bitgate.nn.LSTM(2, 8, coupled=True, gates={"g": 2, "o": 2}, dtype=torch.float64)
    with torch.no_grad():
        [p.mul_(50) for p in module.parameters()]
    x: Tensor = 100 * torch.randn(200, 4, 2, dtype=torch.float64)
    c = torch.zeros(1, 4, 8, dtype=torch.float64)
    h = torch.zeros_like(c)
    for step in x:
        _, (h, c) = module(step[None], (h, c))
        assert c.abs().max() <= 1


def test_a_sequence_in_pieces_gives_the_states_of_the_whole() -> None:
    module = bitgate.nn.LSTM(2, 4, num_layers=2, coupled=True, gates={"g": 2}, dtype=torch.float64)
    x = torch.randn(9, 3, 2, dtype=torch.float64)
    whole, (h, c) = module(x)
    state = None
    pieces = []
    for piece in (x[:1], x[1:6], x[6:]):
        output, state = module(piece, state)
        pieces.append(output)
    assert state is not None
    assert_near(torch.cat(pieces), whole, FLOAT64_PARITY, "output")
    assert_near(state[0], h, FLOAT64_PARITY, "h_n")
    assert_near(state[1], c, FLOAT64_PARITY, "c_n")
