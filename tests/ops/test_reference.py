"""The reference backend against a naive loop in NumPy, and its gradients against finite differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from bitgate.cells import CELL_GATES
from tests.ops import naive
from tests.ops.problems import Problem, problems
from tests.tolerances import FLOAT64_PARITY, assert_near

EVERY_CELL = [
    Problem("lstm", (0, 0, 0, 0), projection=2),
    Problem("coupled_lstm", (0, 0, 0)),
    Problem("gru", (0, 0, 0)),
    Problem("lstm", (3, 4, 2, 8), reverse=True),
    Problem("coupled_lstm", (4, 2, 2)),
    Problem("gru", (2, 3, 2), reverse=True),
    Problem("lstm", (0, 0, 0, 0), projection=2, is_random=True),
    Problem("coupled_lstm", (0, 0, 0), is_random=True),
    Problem("gru", (0, 0, 0), is_random=True),
]


def naive_run(problem: Problem, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    arrays = {name: value.detach().double().numpy() for name, value in tensors.items()}
    zeros = np.zeros(arrays["w_ih"].shape[0])
    params = {k: arrays[k] for k in ("w_ih", "w_hh", "w_hr", "v_ih", "v_hh", "v_hr") if k in arrays}
    params |= {"b_ih": arrays.get("bias_ih", zeros), "b_hh": arrays.get("bias_hh", zeros)}
    noise = problem.noise()
    output, h, c = naive.run(
        problem.cell,
        dict(zip(CELL_GATES[problem.cell], problem.gates, strict=True)),
        arrays["x"],
        arrays["h"],
        arrays.get("c", np.zeros((problem.batch, problem.hidden))),
        params,
        list(problem.lengths or [problem.steps] * problem.batch),
        problem.reverse,
        None if noise is None else noise.numpy(),
    )
    named = {"output": output, "h": h} | ({} if problem.cell == "gru" else {"c": c})
    return {name: torch.from_numpy(value) for name, value in named.items()}


def check_naive(problem: Problem, tensors: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    result = problem.run(tensors, "reference")._asdict()
    assert (result["c"] is None) == (problem.cell == "gru")
    for name, value in expected.items():
        assert_near(result[name].detach(), value, FLOAT64_PARITY, name)


@settings(max_examples=80)
@given(problem=problems())
def test_reference_equals_the_naive_loop(problem: Problem) -> None:
    tensors = problem.tensors()
    check_naive(problem, tensors, naive_run(problem, tensors))


def swap_gates(tensors: dict[str, Tensor]) -> None:
    first, last = tensors["w_hh"].detach().chunk(2)
    tensors["w_hh"] = torch.cat([last, first])


def negate_bias(tensors: dict[str, Tensor]) -> None:
    tensors["bias_ih"] = -tensors["bias_ih"]


def drop_state(tensors: dict[str, Tensor]) -> None:
    tensors["h"] = torch.zeros_like(tensors["h"])


def flip_time(tensors: dict[str, Tensor]) -> None:
    tensors["x"] = tensors["x"].flip(0)


@pytest.mark.parametrize("sabotage", [swap_gates, negate_bias, drop_state, flip_time])
@pytest.mark.parametrize("problem", EVERY_CELL)
def test_sabotage_is_noticed(problem: Problem, sabotage: Callable[..., None]) -> None:
    tensors = problem.tensors()
    expected = naive_run(problem, tensors)
    check_naive(problem, tensors, expected)
    sabotage(tensors)
    with pytest.raises(AssertionError, match="differs"):
        check_naive(problem, tensors, expected)


@pytest.mark.parametrize("problem", [p for p in EVERY_CELL if not any(p.gates)])
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_of_smooth_gates_are_finite_differences(problem: Problem, reverse: bool) -> None:
    problem = problem.but(hidden=3, batch=2, steps=3, lengths=(3, 2), reverse=reverse)
    tensors = problem.tensors()

    def outputs(*values: Tensor) -> Any:
        result = problem.run(dict(zip(tensors, values, strict=True)), "reference")
        return tuple(value for value in result if value is not None)

    assert torch.autograd.gradcheck(outputs, tuple(tensors.values()))


@pytest.mark.parametrize("problem", [p for p in EVERY_CELL if not p.is_random])
def test_one_call_equals_any_chunking(problem: Problem) -> None:
    problem = problem.but(lengths=None, reverse=False)
    tensors = problem.tensors()
    whole = problem.run(tensors, "reference")
    state = dict(tensors)
    outputs = []
    for chunk in tensors["x"].split([1, 3, 1]):
        result = problem.run(state | {"x": chunk}, "reference")
        outputs.append(result.output)
        state |= {"h": result.h} | ({} if result.c is None else {"c": result.c})
    assert_near(torch.cat(outputs), whole.output, FLOAT64_PARITY, "output")
    assert_near(state["h"], whole.h, FLOAT64_PARITY, "h")
