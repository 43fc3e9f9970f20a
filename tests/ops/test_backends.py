"""Every backend computes what the reference computes; a backend that cannot run a layer says why."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings

from bitgate.cells import CELL_GATES
from bitgate.errors import ArgumentError
from bitgate.ops import (
    LayerParameters,
    Moments,
    Recurrence,
    Skip,
    choose_backend,
    native_kernel,
    training_kernel_status,
)
from bitgate.ops.recurrent import flip
from tests.ops.problems import Problem, problems
from tests.tolerances import EXACT, FLOAT32_PARITY, FLOAT64_PARITY, Tolerance, assert_near

DTYPES = [(torch.float64, FLOAT64_PARITY), (torch.float32, FLOAT32_PARITY)]


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
def test_vendor_equals_reference(dtype: torch.dtype, tolerance: Tolerance) -> None:
    @settings(max_examples=60)
    @given(problem=problems(smooth=True, plain=True, no_skip=True))
    def check(problem: Problem) -> None:
        expected = problem.with_gradients("reference", dtype)
        actual = problem.with_gradients("vendor", dtype)
        assert list(actual) == list(expected)
        for name, value in expected.items():
            assert_near(actual[name], value, tolerance, name)

    check()


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("cell", ["lstm", "coupled_lstm", "gru", "gated_rnn"])
def test_another_problem_is_noticed(cell: str, dtype: torch.dtype, tolerance: Tolerance) -> None:
    problem = Problem(cell, (0,) * len(CELL_GATES[cell]))  # type: ignore[arg-type]
    expected = problem.with_gradients("reference", dtype)["output"]
    for other in (problem.but(reverse=True), problem.but(lengths=(5, 3, 2)), problem.but(bias=False)):
        with pytest.raises(AssertionError, match="output differs"):
            assert_near(other.with_gradients("vendor", dtype)["output"], expected, tolerance, "output")


def parameters(*, random: bool = False) -> LayerParameters:
    w = torch.zeros(8, 2)
    return LayerParameters(Moments(w, w), Moments(w, w)) if random else LayerParameters(w, w)


SMOOTH, STAIRCASE = Recurrence("lstm", (0, 0, 0, 0)), Recurrence("lstm", (0, 0, 0, 2))


@pytest.mark.parametrize(
    ("recurrence", "random", "wanted", "expected", "without_native"),
    [
        (SMOOTH, False, None, "native", "vendor"),
        (SMOOTH, False, "auto", "native", "vendor"),
        (SMOOTH, False, "vendor", "vendor", "vendor"),
        (SMOOTH, False, "reference", "reference", "reference"),
        (SMOOTH, True, None, "native", "reference"),
        (SMOOTH, True, "reference", "reference", "reference"),
        (STAIRCASE, False, "auto", "native", "reference"),
    ],
)
def test_auto_takes_native_then_vendor_then_reference(
    recurrence: Recurrence,
    random: bool,
    wanted: str | None,
    expected: str,
    without_native: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if native_kernel.extension is not None:
        assert choose_backend(recurrence, parameters(random=random), wanted) == expected
    monkeypatch.setattr(native_kernel, "extension", None)
    assert choose_backend(recurrence, parameters(random=random), wanted) == without_native


def test_native_tells_why_it_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    w = torch.zeros(8, 2)
    if native_kernel.extension is not None:
        cases = [
            (LayerParameters(Moments(w, w), w), r"lr-trick\) for both"),
            (LayerParameters(w, w[:, :1], w_hr=torch.zeros(1, 2)), "proj_size"),
            (LayerParameters(w.to("meta"), w.to("meta")), "not on meta"),
            (LayerParameters(w.half(), w.half()), "not torch.float16"),
        ]
        for params, why in cases:
            with pytest.raises(ArgumentError, match=f"'native' cannot run this layer.*{why}"):
                choose_backend(SMOOTH, params, "native")
        with torch.autocast("cpu"), pytest.raises(ArgumentError, match="mixed precision"):
            choose_backend(SMOOTH, parameters(), "native")
    monkeypatch.setattr(native_kernel, "extension", None)
    with pytest.raises(ArgumentError, match="'native' cannot run this layer: it was not built"):
        choose_backend(SMOOTH, parameters(), "native")
    assert "not built" in training_kernel_status()


def test_environment_names_the_backend_and_the_argument_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITGATE_BACKEND", "reference")
    assert choose_backend(SMOOTH, parameters()) == "reference"
    assert choose_backend(SMOOTH, parameters(), "vendor") == "vendor"
    monkeypatch.setenv("BITGATE_BACKEND", "cuda")
    with pytest.raises(ArgumentError, match="backend: 'cuda', expected one of auto, native, vendor, reference"):
        choose_backend(SMOOTH, parameters())


@pytest.mark.parametrize(
    ("recurrence", "random", "why"),
    [
        (STAIRCASE, False, "staircase gates"),
        (SMOOTH, True, "lr-trick"),
        (replace(SMOOTH, skip=Skip("block", 2)), False, "no additive skip"),
    ],
)
def test_vendor_refuses_what_it_cannot_run(recurrence: Recurrence, random: bool, why: str) -> None:
    with pytest.raises(ArgumentError, match=f"'vendor' cannot run this layer.*{why}.*use 'reference'"):
        choose_backend(recurrence, parameters(random=random), "vendor")


def test_flip_keeps_the_padding_behind() -> None:
    x = torch.tensor([[1, 1], [2, 2], [3, -1]]).unsqueeze(-1)
    flipped = flip(x, torch.tensor([3, 2]))
    assert_near(flipped.squeeze(-1), torch.tensor([[3, 2], [2, 1], [1, -1]]), EXACT)
    assert_near(flip(flipped, torch.tensor([3, 2])), x, EXACT)
