"""The Triton kernels against the reference, in Triton's interpreter on the CPU."""

import importlib
import os
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bitgate.cells import CELL_GATES, CellKind
from bitgate.errors import ArgumentError
from bitgate.ops import LayerParameters, Moments, Recurrence, Skip, choose_backend, triton_launch, triton_status
from bitgate.ops.triton_backend import CELLS
from bitgate.ops.triton_op import triton_layer
from tests.ops.problems import Problem
from tests.tolerances import AUTOCAST, EXACT, FLOAT32_ROUNDING, assert_near

pytest.importorskip("triton", reason="Triton is not installed (pip install 'bitgate[gpu]')")

KERNELS = "bitgate.ops.triton_kernels"


# tests/conftest.py asks for the interpreter; triton reads that once, when something imports it first.
assert os.environ["TRITON_INTERPRET"] == "1"


@pytest.fixture(params=["held", "alone", "step"])
def plan(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Weights on chip; weights read in tiles by one program; a launch a step, programs along the units."""
    if request.param != "held":
        monkeypatch.setattr(triton_launch, "_HELD_BYTES", 0)
    if request.param == "step":
        monkeypatch.setattr(triton_launch, "_LARGEST_ALONE", 0)
    return str(request.param)


EVERY_CELL = [Problem("lstm", (0, 0, 0, 0)), Problem("coupled_lstm", (0, 2, 3)), Problem("gru", (4, 0, 2))]
SHAPES: list[dict[str, Any]] = [
    {},
    {"hidden": 35, "features": 2, "batch": 19, "steps": 3, "lengths": None, "reverse": True, "gain": 0.2},
    {"hidden": 1, "batch": 1, "steps": 1, "lengths": None, "bias": False},
]


def assert_parity(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """By the norm of each array: single elements of a gradient may cancel to nothing."""
    assert list(actual) == list(expected)
    for name, value in expected.items():
        assert actual[name].dtype == torch.float32
        error, norm = float((actual[name] - value).norm()), float(value.norm())
        bound = FLOAT32_ROUNDING.rtol * norm + FLOAT32_ROUNDING.atol * value.numel() ** 0.5
        assert error <= bound, f"{name} differs by {error:.1e}, norm {norm:.1e}"


def results(problem: Problem, backend: str = "triton") -> dict[str, Tensor]:
    return problem.with_gradients(backend, torch.float32)


@pytest.mark.parametrize("problem", EVERY_CELL)
def test_triton_equals_reference(problem: Problem, plan: str) -> None:
    assert_parity(results(problem), results(problem, "reference"))


@pytest.mark.slow
@pytest.mark.parametrize("changes", SHAPES)
@pytest.mark.parametrize("problem", EVERY_CELL)
def test_odd_shapes(problem: Problem, changes: dict[str, Any], plan: str) -> None:
    assert_parity(results(problem.but(**changes)), results(problem.but(**changes), "reference"))


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Sizes around those of tiles."""
    cell: CellKind = draw(st.sampled_from(sorted(CELLS)))
    hidden, batch, steps = (
        draw(st.sampled_from(found)) for found in ([1, 2, 15, 16, 17, 33], [1, 2, 16, 17], [1, 2, 3])
    )
    lengths = st.lists(st.integers(1, steps), min_size=batch, max_size=batch)
    return Problem(
        cell=cell,
        gates=tuple(draw(st.sampled_from([0, 0, 2, 3, 8])) for _ in CELL_GATES[cell]),
        hidden=hidden,
        features=draw(st.sampled_from([1, 2, 5, 16])),
        lengths=draw(st.none() | lengths.map(lambda found: tuple(sorted(found, reverse=True)))),
        batch=batch,
        steps=steps,
        bias=draw(st.booleans()),
        reverse=draw(st.booleans()),
        seed=draw(st.integers(0, 999)),
        gain=hidden**-0.5,
    )


@pytest.mark.slow
def test_drawn_problems(plan: str) -> None:
    @settings(max_examples=25, deadline=None)
    @given(problem=problems())
    def check(problem: Problem) -> None:
        assert_parity(results(problem), results(problem, "reference"))

    check()


@pytest.mark.parametrize("change", ["bias", "lengths", "seed", "gates"])
def test_another_problem_is_noticed(change: str) -> None:
    problem = EVERY_CELL[1].but(steps=3, lengths=(3, 2, 1))
    others = {
        "bias": problem.but(bias=False),
        "lengths": problem.but(lengths=(3, 2, 2)),
        "seed": problem.but(seed=1),
        "gates": problem.but(gates=(0, 0, 3)),
    }
    expected, actual = results(problem, "reference"), results(others[change])
    with pytest.raises(AssertionError, match="output differs"):
        assert_parity({name: actual.get(name, value) for name, value in expected.items()}, expected)


def test_a_wrong_slope_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    backward: Any = importlib.import_module(f"{KERNELS}.cell")
    right = backward.slope
    monkeypatch.setattr(backward, "slope", lambda a, is_tanh: right(a, not is_tanh))
    with pytest.raises(AssertionError, match="gradient of x differs"):
        assert_parity(results(EVERY_CELL[1]), results(EVERY_CELL[1], "reference"))


@pytest.mark.parametrize("problem", EVERY_CELL)
def test_bfloat16_weights_with_float32_states(problem: Problem) -> None:
    """Three steps of products rounded to 8 bits; the states between them are not."""
    problem = problem.but(steps=3, lengths=(3, 2, 1), gain=0.3, gates=(0,) * len(problem.gates))
    narrow = problem.tensors(torch.bfloat16)
    wide = {name: value.detach().float().requires_grad_() for name, value in narrow.items()}
    found = problem.run(narrow, "triton")
    expected = problem.run(wide, "reference")
    assert found.output.dtype == torch.bfloat16
    assert_near(found.output.float(), expected.output, AUTOCAST, "output")
    grads = torch.autograd.grad(found.output.float().square().sum(), list(narrow.values()))
    wide_grads = torch.autograd.grad(expected.output.square().sum(), list(wide.values()))
    for name, grad, wide_grad in zip(narrow, grads, wide_grads, strict=True):
        assert grad.dtype == torch.bfloat16
        assert float((grad.float() - wide_grad).norm()) <= AUTOCAST.rtol * float(wide_grad.norm()), name


def test_nothing_is_kept_without_gradients() -> None:
    problem = EVERY_CELL[0].but(steps=2, lengths=(2, 1, 1))
    tensors = problem.tensors(torch.float32)
    expected = problem.run(tensors, "triton")
    with torch.no_grad():
        found = problem.run(tensors, "triton")
    assert_near(found.output, expected.output.detach(), EXACT, "output")
    arguments = (*(tensors[k].detach() for k in ("x", "h", "c", "w_ih", "w_hh", "bias_ih", "bias_hh")), None)
    kept = triton_layer(*arguments, "lstm", [0] * 4, False)[3:]
    assert [value.numel() for value in kept] == [0, 0, 0]


def test_weights_are_read_in_tiles_where_a_gpu_has_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    triton: Any = importlib.import_module("triton")
    kernels: Any = importlib.import_module(KERNELS)
    refused = []

    class Full:
        def __getitem__(self, grid: tuple[int, int]) -> Any:
            def launch(*_: Any, **__: Any) -> None:
                refused.append(grid)
                raise triton.OutOfResources(2, 1, "shared memory")

            return launch

    for name in ("forward_held", "backward_held"):
        monkeypatch.setattr(kernels, name, Full())
    problem = EVERY_CELL[0].but(steps=2, lengths=(2, 1, 1))
    assert_parity(results(problem), results(problem, "reference"))
    assert refused == [(1, 1), (1, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("problem", EVERY_CELL)
def test_opcheck(problem: Problem, plan: str) -> None:
    problem = problem.but(steps=2, lengths=(2, 1, 1))
    t = problem.tensors(torch.float32)
    tensors = (t.get(name) for name in ("x", "h", "c", "w_ih", "w_hh", "bias_ih", "bias_hh"))
    lengths = torch.tensor(problem.lengths)
    found = torch.library.opcheck(triton_layer, (*tensors, lengths, problem.cell, list(problem.gates), True))
    assert len(found) == 4
    assert set(found.values()) == {"SUCCESS"}


SMOOTH = Recurrence("lstm", (0, 0, 0, 0))


def parameters(dtype: torch.dtype = torch.float32, **more: Any) -> LayerParameters:
    w = torch.zeros(8, 2, dtype=dtype)
    return LayerParameters(w, w, **more)


@pytest.mark.parametrize(
    ("recurrence", "params", "why"),
    [
        (SMOOTH, LayerParameters(*[Moments(torch.zeros(8, 2), torch.zeros(8, 2))] * 2), "lr-trick"),
        (SMOOTH, parameters(torch.float64), "takes bfloat16 and float32, not torch.float64"),
        (Recurrence("gated_rnn", (0, 0)), parameters(), "no kernel for the cell 'gated_rnn'"),
        (SMOOTH, parameters(w_hr=torch.zeros(1, 2)), "no projection"),
        (Recurrence("lstm", (0,) * 4, sharing=(0, 0, 1, 0)), parameters(), "no shared projections"),
        (Recurrence("lstm", (0,) * 4, skip=Skip("block", 2)), parameters(), "no additive skip"),
        (Recurrence("lstm", (0,) * 4, state_bits=8), parameters(), "it does not round states"),
    ],
)
def test_what_it_cannot_run_is_refused(recurrence: Recurrence, params: LayerParameters, why: str) -> None:
    with pytest.raises(ArgumentError, match=f"'triton' cannot run this layer: .*{why}"):
        choose_backend(recurrence, params, "triton")


def test_the_status_tells_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_backend(SMOOTH, parameters(), "triton") == "triton"
    assert "interpreted on the CPU" in triton_status()
    monkeypatch.delenv("TRITON_INTERPRET")
    with pytest.raises(ArgumentError, match="runs on a GPU, not on cpu"):
        choose_backend(SMOOTH, parameters(), "triton")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "torch sees no GPU" in triton_status()
    monkeypatch.setattr(triton_launch.importlib.util, "find_spec", lambda _: None)
    assert "not installed" in triton_status()
    with pytest.raises(ArgumentError, match="Triton is not installed"):
        choose_backend(SMOOTH, parameters(), "triton")
