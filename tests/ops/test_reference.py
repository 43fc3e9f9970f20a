"""The reference backend against a naive loop in NumPy, and its gradients against finite differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from bitgate.cells import CELL_GATES
from bitgate.errors import ArgumentError
from bitgate.ops import Skip
from tests.ops import naive
from tests.ops.problems import Problem, problems
from tests.tolerances import EXACT, FLOAT64_PARITY, assert_near

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
    Problem("gated_rnn", (0, 0)),
    Problem("gated_rnn", (0, 3), sharing=(0, 0), is_random=True),
    Problem("lstm", (0, 0, 0, 0), sharing=(0, 0, 1, 0), skip=Skip("block", 2)),
    Problem("coupled_lstm", (0, 0, 0), sharing=(0, 0, 0), skip=Skip("step"), per_unit=True),
    Problem("gru", (0, 0, 0), sharing=(0, 0, 1)),
    Problem("gru", (0, 0, 0), sharing=(0, 1, 0), is_random=True, reverse=True),
]


def naive_run(problem: Problem, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    arrays = {name: value.detach().double().numpy() for name, value in tensors.items()}
    zeros = np.zeros(len(CELL_GATES[problem.cell]) * problem.hidden)
    names = ("w_ih", "w_hh", "w_hr", "v_ih", "v_hh", "v_hr", "gate_scale")
    params = {k: arrays[k] for k in names if k in arrays}
    params |= {"b_ih": arrays.get("bias_ih", zeros), "b_hh": arrays.get("bias_hh", zeros)}
    params |= {"alpha": arrays["skip_scale"]} if problem.skip else {}
    noise, positions = problem.noise(), problem.positions()
    step = block = None
    if problem.skip and problem.skip.kind == "step":
        step = "bounded" if problem.skip.is_bounded else "raw"
    elif problem.skip:
        counts = [0] * problem.batch if positions is None else positions.tolist()
        block = (problem.skip.block_size, arrays["anchor"], counts)
    found = naive.run(
        problem.cell,
        dict(zip(CELL_GATES[problem.cell], problem.gates, strict=True)),
        arrays["x"],
        arrays["h"],
        arrays.get("c", np.zeros((problem.batch, problem.hidden))),
        params,
        list(problem.lengths or [problem.steps] * problem.batch),
        problem.reverse,
        None if noise is None else noise.numpy(),
        problem.sharing,
        step,
        block,
    )
    return {name: torch.from_numpy(value) for name, value in found.items()}


def check_naive(problem: Problem, tensors: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    result = {k: v for k, v in problem.run(tensors, "reference")._asdict().items() if v is not None}
    assert sorted(result) == sorted(expected)
    for name, value in expected.items():
        assert_near(result[name].detach(), value, FLOAT64_PARITY, name)


@settings(max_examples=150)
@given(problem=problems())
def test_reference_equals_the_naive_loop(problem: Problem) -> None:
    tensors = problem.tensors()
    check_naive(problem, tensors, naive_run(problem, tensors))


def swap_gates(tensors: dict[str, Tensor]) -> None:
    name = "gate_scale" if "gate_scale" in tensors else "w_hh"
    first, last = tensors[name].detach().tensor_split(2)
    tensors[name] = torch.cat([last, first])


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
        return tuple(value for value in result if value is not None and value.is_floating_point())

    assert torch.autograd.gradcheck(outputs, tuple(tensors.values()))


SKIPS = [p for p in EVERY_CELL if p.skip]


def drop_skip(tensors: dict[str, Tensor]) -> None:
    tensors["skip_scale"] = torch.zeros_like(tensors["skip_scale"])


def drop_anchor(tensors: dict[str, Tensor]) -> None:
    tensors["anchor"] = tensors["h"]


@pytest.mark.parametrize(
    ("problem", "sabotage"), [(SKIPS[0], drop_skip), (SKIPS[0], drop_anchor), (SKIPS[1], drop_skip)]
)
def test_sabotage_of_a_skip_is_noticed(problem: Problem, sabotage: Callable[..., None]) -> None:
    tensors = problem.tensors()
    expected = naive_run(problem, tensors)
    sabotage(tensors)
    with pytest.raises(AssertionError, match="output differs"):
        check_naive(problem, tensors, expected)


def test_another_map_block_or_bound_is_noticed() -> None:
    block, step = SKIPS
    others = [block.but(sharing=(0, 1, 1, 0)), block.but(skip=Skip("block", 3)), block.but(begins_inside=False)]
    for problem, other in [(block, o) for o in others] + [(step, step.but(skip=Skip("step", is_bounded=False)))]:
        tensors = problem.tensors()
        with pytest.raises(AssertionError, match="output differs"):
            check_naive(other, tensors, naive_run(problem, tensors))


@pytest.mark.parametrize("problem", [p for p in EVERY_CELL if not p.is_random])
@pytest.mark.parametrize("sizes", [[1, 3, 1], [2, 2, 1], [1, 1, 1, 1, 1]])
def test_one_call_equals_any_chunking(problem: Problem, sizes: list[int]) -> None:
    problem = problem.but(lengths=None, reverse=False)
    tensors = problem.tensors()
    whole = problem.run(tensors, "reference")
    state, position = dict(tensors), problem.positions()
    outputs = []
    for chunk in tensors["x"].split(sizes):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Problem, "positions", lambda _, position=position: position)
            result = problem.run(state | {"x": chunk}, "reference")
        outputs.append(result.output)
        state |= {name: getattr(result, name) for name in ("h", "c", "anchor") if getattr(result, name) is not None}
        position = result.position
    assert_near(torch.cat(outputs), whole.output, FLOAT64_PARITY, "output")
    for name, value in whole._asdict().items():
        if name in state:
            assert_near(state[name], value, FLOAT64_PARITY, name)
    if position is not None:
        assert_near(position, whole.position, EXACT, "position")


@pytest.mark.parametrize("problem", EVERY_CELL)
def test_nan_behind_an_end_reaches_no_state_and_no_gradient(problem: Problem) -> None:
    clean = problem.with_gradients("reference")
    assert problem.lengths == (5, 3, 1)
    tensors = Problem.tensors

    def spoiled(self: Problem, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
        found = tensors(self, dtype)
        for row, end in enumerate(problem.lengths or ()):
            found["x"].data[end:, row] = float("nan")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Problem, "tensors", spoiled)
        dirty = problem.with_gradients("reference")
    for name, value in clean.items():
        assert_near(dirty[name], value, EXACT, name)


def test_options_and_parameters_must_go_together() -> None:
    problem = SKIPS[0]
    for name in ("gate_scale", "skip_scale"):
        tensors = problem.tensors()
        del tensors[name]
        with pytest.raises(ArgumentError, match=f"{name}: expected, but"):
            problem.run(tensors, "reference")
        with pytest.raises(ArgumentError, match=f"{name}: given, but"):
            problem.but(**{"gate_scale": {"sharing": None}, "skip_scale": {"skip": None}}[name]).run(
                problem.tensors(), "reference"
            )
    two = problem.tensors() | {"bias_hh": problem.tensors()["bias_ih"]}
    with pytest.raises(ArgumentError, match="bias_hh: given, but gates that share"):
        problem.run(two, "reference")
    gru = Problem("gru", (0, 0, 0), skip=Skip("block", 2))
    with pytest.raises(ArgumentError, match="the cell 'gru' is no LSTM"):
        gru.run(gru.tensors(), "reference")
