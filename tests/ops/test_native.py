"""The C kernel against the reference: outputs, states and all gradients, on every path this processor has."""

from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bitgate.cells import CELL_GATES, CellKind
from bitgate.errors import ArgumentError, ShapeError
from bitgate.ops import SIMD_PATHS, Skip, native_backward, native_kernel, simd_path, training_kernel_status
from bitgate.ops.native_kernel import encode_skip
from bitgate.ops.native_op import recurrent_layer
from tests.ops.problems import Problem, gate_maps, skips
from tests.tolerances import EXACT, FLOAT32_ROUNDING, FLOAT64_PARITY, assert_near

if native_kernel.extension is None:
    pytest.skip("bitgate._train is not built", allow_module_level=True)

HERE = [path for number, path in enumerate(SIMD_PATHS) if native_kernel.extension.supports(number)]
PATHS = [
    pytest.param(path, marks=[] if path in HERE else pytest.mark.skip(f"this processor has no {path}"))
    for path in SIMD_PATHS
]
TOLERANCES = {torch.float32: FLOAT32_ROUNDING, torch.float64: FLOAT64_PARITY}
DTYPES = list(TOLERANCES)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Sizes around those of lines, vectors and tiles."""
    cell: CellKind = draw(st.sampled_from(sorted(CELL_GATES)))
    hidden = draw(st.sampled_from([1, 2, 7, 8, 9, 15, 16, 17, 32, 35, 48]))
    batch, steps = draw(st.sampled_from([1, 2, 3, 5, 8, 13, 70])), draw(st.integers(1, 6))
    lengths = st.lists(st.integers(1, steps), min_size=batch, max_size=batch)
    sharing, is_lstm = draw(gate_maps(cell)), cell in ("lstm", "coupled_lstm")
    features = draw(st.sampled_from([1, 2, 5, 6, 11, 16, 40]))
    return Problem(
        cell=cell,
        gates=tuple(draw(st.sampled_from([0, 0, 2, 3, 8])) for _ in CELL_GATES[cell]),
        hidden=hidden,
        features=features,
        lengths=draw(st.none() | lengths.map(lambda found: tuple(sorted(found, reverse=True)))),
        batch=batch,
        steps=steps,
        bias=draw(st.booleans()),
        reverse=draw(st.booleans()),
        seed=draw(st.integers(0, 999)),
        gain=(hidden + features) ** -0.5,
        is_random=(is_lstm or (cell == "gru" and sharing is None)) and draw(st.booleans()),
        sharing=sharing,
        skip=draw(skips(cell)),
        per_unit=draw(st.booleans()),
        begins_inside=draw(st.booleans()),
    )


def assert_parity(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """By the norm of each array: single elements of a gradient may cancel to nothing."""
    assert list(actual) == list(expected)
    for name, value in expected.items():
        assert actual[name].dtype == value.dtype
        if not value.is_floating_point():
            assert_near(actual[name], value, EXACT, name)
            continue
        tolerance, error = TOLERANCES[value.dtype], float((actual[name] - value).norm())
        bound = tolerance.rtol * float(value.norm()) + tolerance.atol * value.numel() ** 0.5
        assert error <= bound, f"{name} differs by {error:.1e}, norm {float(value.norm()):.1e}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("path", PATHS)
def test_native_equals_reference(path: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITGATE_SIMD", path)

    @settings(max_examples=60)
    @given(problem=problems())
    def check(problem: Problem) -> None:
        assert_parity(problem.with_gradients("native", dtype), problem.with_gradients("reference", dtype))

    check()


EVERY_CELL = [Problem("lstm", (0, 0, 0, 0)), Problem("coupled_lstm", (0, 2, 3)), Problem("gru", (4, 0, 2))]
SHARED = [
    Problem("lstm", (0, 0, 0, 0), sharing=(0, 0, 1, 0), skip=Skip("block", 2)),
    Problem("coupled_lstm", (0, 2, 0), sharing=(0, 0, 0), skip=Skip("step"), per_unit=True),
    Problem("lstm", (0, 0, 3, 0), skip=Skip("step", is_bounded=False)),
    Problem("coupled_lstm", (0, 0, 0), sharing=(2, 0, 1), skip=Skip("block", 1)),
]
RANDOM = [problem.but(is_random=True) for problem in [*EVERY_CELL, SHARED[0]]]


@pytest.mark.parametrize("problem", EVERY_CELL + SHARED + RANDOM)
@pytest.mark.parametrize("change", ["bias", "reverse", "lengths", "seed", "gates"])
def test_another_problem_is_noticed(problem: Problem, change: str) -> None:
    others = {
        "bias": problem.but(bias=False),
        "reverse": problem.but(reverse=True),
        "lengths": problem.but(lengths=(5, 3, 2)),
        "seed": problem.but(seed=1),
        "gates": problem.but(gates=(5, *problem.gates[1:])),
    }
    expected, actual = problem.with_gradients("reference"), others[change].with_gradients("native")
    with pytest.raises(AssertionError, match="output differs"):
        assert_parity({name: actual.get(name, value) for name, value in expected.items()}, expected)


@pytest.mark.parametrize("problem", RANDOM)
def test_other_noise_and_other_variances_are_noticed(problem: Problem) -> None:
    expected, tensors = problem.with_gradients("reference"), problem.tensors()
    assert_parity(problem.with_gradients("native"), expected)
    with pytest.raises(AssertionError, match="output differs"):
        assert_parity(problem.but(noise_seed=1).with_gradients("native"), expected)
    swapped = tensors | {"v_hh": tensors["v_hh"].roll(1, 0)}
    output = problem.run(swapped, "native").output.detach()
    with pytest.raises(AssertionError, match="output differs"):
        assert_parity(expected | {"output": output}, expected)


@pytest.mark.parametrize("problem", RANDOM)
def test_every_backend_draws_the_same_from_the_same_seed(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Problem, "noise", lambda *_: None)
    found = []
    for backend in ("native", "reference"):
        torch.manual_seed(4)
        found.append(problem.with_gradients(backend))
    assert_parity(*found)


@pytest.mark.parametrize(
    "problem",
    [
        Problem("lstm", (0, 0, 0, 0)),
        Problem("gru", (0, 0, 0)),
        Problem("lstm", (0, 0, 0, 0), sharing=(0, 0, 1, 0), skip=Skip("block", 4)),
        Problem("coupled_lstm", (0, 0, 0), sharing=(0, 1, 0), is_random=True),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_large_weights_are_summed_in_larger_chunks(problem: Problem, dtype: torch.dtype) -> None:
    """More than a megabyte of weights: chunks of 256 rows instead of 64, the last one not full."""
    lengths = tuple(sorted((20 - k % 7 for k in range(29)), reverse=True))
    large = problem.but(hidden=300, features=290, batch=29, steps=20, lengths=lengths, gain=0.04)
    assert_parity(large.with_gradients("native", dtype), large.with_gradients("reference", dtype))


def swap_projections(problem: Problem, tensors: dict[str, Tensor]) -> Problem:
    return problem.but(sharing=tuple(1 - p for p in problem.sharing or ()))


def scale_one_gate(problem: Problem, tensors: dict[str, Tensor]) -> Problem:
    tensors["gate_scale"] = torch.cat([tensors["gate_scale"][:1] * 1.01, tensors["gate_scale"][1:]])
    return problem


def begin_a_block(problem: Problem, tensors: dict[str, Tensor]) -> Problem:
    return problem.but(begins_inside=False)


def forget_the_anchor(problem: Problem, tensors: dict[str, Tensor]) -> Problem:
    tensors["anchor"] = 0 * tensors["anchor"]
    return problem


def change_alpha(problem: Problem, tensors: dict[str, Tensor]) -> Problem:
    tensors["skip_scale"] = tensors["skip_scale"] * 0.99
    return problem


SABOTAGES = [swap_projections, scale_one_gate, begin_a_block, forget_the_anchor, change_alpha]


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_sabotage_of_sharing_and_skip_is_noticed(sabotage: Callable[..., Problem]) -> None:
    problem = SHARED[0].but(sharing=(0, 1, 1, 0))
    tensors = problem.tensors()
    expected = {"output": problem.run(tensors, "reference").output.detach()}
    assert_parity({"output": problem.run(tensors, "native").output.detach()}, expected)
    broken = sabotage(problem, tensors)
    with pytest.raises(AssertionError, match="output differs"):
        assert_parity({"output": broken.run(tensors, "native").output.detach()}, expected)


@pytest.mark.parametrize("problem", SHARED)
def test_a_lost_factor_shows_in_the_gradients(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way back reads scale, bias and alpha anew: leave one out there, and its gradients are wrong."""
    read = native_backward.read_arrays
    expected = problem.with_gradients("reference")
    for name in ("gate_scale", "bias", "alpha"):
        if name != "alpha" and problem.sharing is None:
            continue

        def without(*args: object, name: str = name) -> dict[str, Tensor | None]:
            found = read(*args)  # type: ignore[arg-type]
            value = found[name]
            assert value is not None
            return {**found, name: 0.9 * value}

        with monkeypatch.context() as patch:
            patch.setattr(native_backward, "read_arrays", without)
            actual = problem.with_gradients("native")
        with pytest.raises(AssertionError, match=r"gradient of .* differs"):
            assert_parity(actual, expected)


def test_impossible_options_are_refused_by_the_extension() -> None:
    """The last line of defence: C reads the map and the block size, so it looks at them."""
    args = list(arguments(SHARED[0]))
    for at, value in ((17, [0, 0, -1, 1]), (18, [1, 0]), (10, None), (11, None), (13, None)):
        wrong = [*args[:at], value, *args[at + 1 :]]
        with pytest.raises(ValueError, match=r"bitgate\._train: impossible sizes"):
            recurrent_layer(*wrong)


def test_settled_weights_have_no_gradient_of_their_variance() -> None:
    """Both backends hold a variance below the smallest one fast."""
    for problem in RANDOM:
        tensors = problem.tensors()
        tensors |= {name: torch.zeros_like(tensors[name]).requires_grad_() for name in ("v_ih", "v_hh")}
        found = {}
        for backend in ("native", "reference"):
            output = problem.run(tensors, backend).output
            grads = torch.autograd.grad(output.sum(), [tensors["v_ih"], tensors["v_hh"], tensors["w_hh"]])
            found[backend] = dict(zip("ihw", grads, strict=True)) | {"output": output.detach()}
        assert_parity(found["native"], found["reference"])
        assert not found["native"]["i"].any()
        assert not found["native"]["h"].any()


def test_a_wrong_slope_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    named = native_backward.named
    monkeypatch.setattr(native_backward, "named", lambda *arrays: {**named(*arrays), "slopes": None})
    for problem in EVERY_CELL[1:]:
        expected, actual = problem.with_gradients("reference"), problem.with_gradients("native")
        with pytest.raises(AssertionError, match="gradient of x differs"):
            assert_parity(actual, expected)


@pytest.mark.parametrize(
    ("cell", "is_random"), [(c, r) for c in sorted(CELL_GATES) for r in (False, True) if c != "gated_rnn" or not r]
)
@pytest.mark.parametrize("lengths", [None, (3, 1)])
def test_gradients_are_finite_differences(cell: CellKind, lengths: tuple[int, ...] | None, is_random: bool) -> None:
    problem = Problem(
        cell, (0,) * len(CELL_GATES[cell]), hidden=3, batch=2, steps=3, lengths=lengths, is_random=is_random
    )
    tensors = problem.tensors()

    def outputs(*values: Tensor) -> tuple[Tensor, ...]:
        result = problem.run(dict(zip(tensors, values, strict=True)), "native")
        return tuple(value for value in result if value is not None and value.is_floating_point())

    assert torch.autograd.gradcheck(outputs, tuple(tensors.values()))


def arguments(problem: Problem, *, keep: bool = True) -> tuple[object, ...]:
    t = problem.tensors()
    names = ("x", "h", "c", "w_ih", "w_hh", "bias_ih", "bias_hh", "v_ih", "v_hh", "gate_scale", "alpha", "anchor")
    t["alpha"] = t["skip_scale"].detach().expand(problem.hidden).clone().requires_grad_() if problem.skip else None  # type: ignore[assignment]
    lengths = None if problem.lengths is None else torch.tensor(problem.lengths)
    options = (problem.cell, list(problem.gates), list(problem.sharing or ()), encode_skip(problem.skip), keep)
    return (*(t.get(name) for name in names), problem.noise(), problem.positions(), lengths, *options)


@pytest.mark.parametrize("problem", EVERY_CELL + SHARED + RANDOM)
def test_opcheck(problem: Problem) -> None:
    found = torch.library.opcheck(recurrent_layer, arguments(problem))
    assert len(found) == 4
    assert set(found.values()) == {"SUCCESS"}


@pytest.mark.parametrize("problem", [EVERY_CELL[1], RANDOM[1]])
def test_nothing_is_kept_without_gradients(problem: Problem) -> None:
    args = arguments(problem, keep=False)
    with torch.no_grad():
        kept, fresh = recurrent_layer(*arguments(problem)), recurrent_layer(*args)
    assert [saved.numel() for saved in fresh[4:]] == [0] * 6
    for a, b in zip(kept[:4], fresh[:4], strict=True):
        assert_near(a, b, EXACT)


@pytest.mark.parametrize("threads", [2, 3, 200])
@pytest.mark.parametrize("problem", EVERY_CELL + SHARED + RANDOM)
def test_threads_change_nothing(problem: Problem, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem.but(batch=7, lengths=(5, 5, 4, 3, 3, 1, 1))
    expected = problem.with_gradients("native")
    monkeypatch.setattr(native_kernel, "_FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    actual = problem.with_gradients("native")
    assert_near(actual["output"], expected["output"], EXACT)
    assert_parity(actual, expected)


def test_shards_of_unlike_size_keep_to_their_own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """33 sequences make shards of 16 and 17, of which the smaller one packs more steps and so needs more room.

    Where the shards overlap the gradients are wrong in about every fourth run, so this one runs many times.
    """
    problem = EVERY_CELL[1].but(batch=33, steps=45, hidden=64, lengths=None)
    expected = problem.with_gradients("native")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    for _ in range(20):
        assert_parity(problem.with_gradients("native"), expected)


@pytest.fixture(params=[False, True])
def flushing(request: pytest.FixtureRequest) -> Iterator[bool]:
    torch.set_flush_denormal(request.param)
    yield request.param
    torch.set_flush_denormal(False)


def test_denormals_are_flushed_inside_and_only_there(flushing: bool) -> None:
    """With zero weights f = i = 1/2 and g = 0: c halves at every step, into the denormals of float32."""
    x, w, state = torch.zeros(12, 1, 1), torch.zeros(4, 1), torch.full((1, 1), 1e-37)
    c = recurrent_layer(x, state, state, w, w, *[None] * 10, "lstm", [0] * 4, [], [0, 0], False)[2]
    assert float(c) == 0.0
    tiny = torch.tensor([2e-38]) / 2**10
    assert (float(tiny) == 0.0) == flushing, "the caller's setting has changed"


def test_a_path_is_forced_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert simd_path() == HERE[-1]
    monkeypatch.setenv("BITGATE_SIMD", "portable")
    assert simd_path() == "portable"
    assert "path portable" in training_kernel_status()
    monkeypatch.setenv("BITGATE_SIMD", "mmx")
    with pytest.raises(ArgumentError, match="BITGATE_SIMD: 'mmx', expected one of portable"):
        simd_path()

    class OldProcessor:
        supports = staticmethod(lambda number: number == 0)

    monkeypatch.setattr(native_kernel, "extension", OldProcessor)
    monkeypatch.setenv("BITGATE_SIMD", "avx512")
    with pytest.raises(ArgumentError, match="BITGATE_SIMD: 'avx512', this processor runs portable"):
        simd_path()


def test_wrong_arrays_are_refused() -> None:
    x, h, c, w_ih, w_hh, *rest = arguments(EVERY_CELL[0])
    assert isinstance(w_ih, Tensor)
    assert isinstance(c, Tensor)
    assert isinstance(x, Tensor)
    with pytest.raises(ShapeError, match=r"w_ih: expected torch.float64 of shape .16, 3."):
        recurrent_layer(x, h, c, w_ih[:8], w_hh, *rest)
    with pytest.raises(ShapeError, match=r"c_0: expected torch.float64"):
        recurrent_layer(x, h, c.float(), w_ih, w_hh, *rest)
    with pytest.raises(ShapeError, match="x: expected float32 or float64"):
        recurrent_layer(x.half(), h, c, w_ih, w_hh, *rest)
    rest[9] = torch.tensor([1, 3, 5])
    with pytest.raises(ArgumentError, match=r"lengths: .1, 3, 5., expected the longest sequence first"):
        recurrent_layer(x, h, c, w_ih, w_hh, *rest)
    args = list(arguments(RANDOM[0]))
    args[12] = args[12][:, :, :12]  # type: ignore[index]
    with pytest.raises(ShapeError, match=r"noise: expected torch.float64 of shape .5, 3, 4, 8."):
        recurrent_layer(*args)
    args[12] = None
    with pytest.raises(ArgumentError, match="v_ih, v_hh, noise: give all three"):
        recurrent_layer(*args)


@pytest.mark.parametrize("problem", EVERY_CELL + SHARED + RANDOM)
def test_bfloat16_is_converted_at_the_border(problem: Problem) -> None:
    """The result is that of float32 rounded once: states of many steps do not gather rounding errors."""
    problem = problem.but(steps=40, lengths=None, gain=0.3)
    narrow = problem.tensors(torch.bfloat16)
    wide = {name: value.detach().float().requires_grad_() for name, value in narrow.items()}
    noise = problem.noise(torch.bfloat16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Problem, "noise", lambda *_: noise)
        results = [problem.run(tensors, "native") for tensors in (narrow, wide)]
        grads = [
            torch.autograd.grad(result.output.float().sum(), list(tensors.values()))
            for result, tensors in zip(results, (narrow, wide), strict=True)
        ]
    for found, expected in zip((*results[0], *grads[0]), (*results[1], *grads[1]), strict=True):
        if found is not None and expected is not None and found.is_floating_point():
            assert_near(found, expected.to(torch.bfloat16), EXACT, "bfloat16")


def test_bfloat16_inputs_go_with_float32_states() -> None:
    problem = EVERY_CELL[0]
    tensors = problem.tensors(torch.float32)
    result = problem.run(tensors | {"x": tensors["x"].bfloat16()}, "native")
    assert (result.output.dtype, result.h.dtype) == (torch.bfloat16, torch.float32)
    expected = problem.run(tensors | {"x": tensors["x"].bfloat16().float()}, "native")
    assert_near(result.h, expected.h, EXACT, "h")


def test_nan_is_not_swallowed() -> None:
    problem = EVERY_CELL[0].but(lengths=None)
    tensors = problem.tensors()
    tensors["x"].data[0, 1, 0] = float("nan")
    output = problem.run(tensors, "native").output
    assert output[:, 1].isnan().all()
    assert output[:, ::2].isfinite().all()


def test_large_preactivations_saturate() -> None:
    problem = EVERY_CELL[0].but(lengths=None, gain=1e4)
    assert_parity(
        {"output": problem.run(problem.tensors(torch.float32), "native").output.detach()},
        {"output": problem.run(problem.tensors(torch.float32), "reference").output.detach()},
    )
