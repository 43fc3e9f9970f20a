"""The exported program on every target against the interpreter: every state of every step and every logit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitgate.errors import ArgumentError, ToolError
from bitgate.export.build import ProgramTrace
from bitgate.export.difference import find_difference
from bitgate.export.targets import TARGETS, execute, find_target, toolchain
from bitgate.export.targets.machine import Driver
from bitgate.export.targets.processor import Processor
from bitgate.export.verify import verify
from bitgate.frozen import BlockSkip
from bitgate.frozen.record import SKIP_CELLS
from tests.export.build import COMPILERS
from tests.export.targets import LENGTHS, build, compare, flip_code, random_lengths, target_parameters
from tests.frozen.make import BINARY, CELL_GATES, FOUR, SHARINGS, SIXTEEN, TERNARY, random_frozen_model

GATES = {"smooth": 0, "step": 2, "four levels": 4}
LEVELS = (TERNARY, BINARY, FOUR, SIXTEEN)


def values_of(model: object, lengths: tuple[int, ...] = LENGTHS) -> int:
    return sum(lengths) * sum(2 * layer.hidden_size for layer in model.flat_layers) + 4 * len(lengths)


@pytest.mark.slow
@pytest.mark.parametrize("gates", GATES)
@pytest.mark.parametrize("bits", [8, 13, 16])
@pytest.mark.parametrize("cell", CELL_GATES)
@pytest.mark.parametrize("target", target_parameters())
def test_every_integer_is_the_interpreters(target: str, cell: str, bits: int, gates: str) -> None:
    case = list(CELL_GATES).index(cell) + bits + list(GATES).index(gates)
    rng = np.random.default_rng(case)
    model = random_frozen_model(
        rng, cell=cell, state_bits=bits, gate_levels=[GATES[gates]] * CELL_GATES[cell], levels=LEVELS[case % 4],
        product_bits=[32, 64][case // 2 % 2], per_row=case % 3 == 0, hidden_sizes=[(9, 5), (1,), (4, 3, 2)][case % 3],
        input_size=[3, 1, 8][case % 3], sharing=list(SHARINGS)[case % 4], range_bits=case % 4,
        block_size=[2, None, 1, 3][case % 4] if cell in SKIP_CELLS else None,
    )  # fmt: skip
    result = verify(model, random_lengths(rng, model), target)
    assert result.difference is None
    assert result.n_values == values_of(model)
    assert result.n_steps == sum(LENGTHS)
    assert (result.step_count_mean is None) == (target == "host")
    assert result.code_bytes < 4000
    sizes = [layer.hidden_size for layer in model.flat_layers]
    states = [2 * h if layer.skip is None else 3 * h + 1 for h, layer in zip(sizes, model.flat_layers, strict=True)]
    assert result.ram_bytes == 2 * (sum(states) + max(sizes))


@pytest.mark.slow
@pytest.mark.parametrize("target", target_parameters())
def test_a_changed_alpha_in_the_image_is_found(tmp_path: Path, target: str) -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, sharing="psug2", block_size=2)
    alpha = np.array([12345, 9876, 22222, 31111, 17171], np.int32)
    layer = model.layers[0][0]
    model = replace(model, layers=((replace(layer, skip=BlockSkip(2, alpha, 1)),),))
    sequences = random_lengths(rng, model)
    image = build(model, tmp_path / "out", target)
    assert compare(model, image, sequences) is None
    content, stored = image.path.read_bytes(), alpha.astype("<u2").tobytes()
    assert content.count(stored) == 1
    image.path.write_bytes(content.replace(stored, np.array([0, 9876, 22222, 31111, 17171], "<u2").tobytes()))
    difference = compare(model, image, sequences)
    assert difference is not None
    assert (difference.kind, difference.unit, difference.step) == ("h", 0, 3)  # the first boundary adds 0


@pytest.mark.slow
@pytest.mark.parametrize("target", target_parameters())
def test_model_without_readout_and_readout_without_layer(target: str) -> None:
    rng = np.random.default_rng(0)
    for options in ({"classes": None}, {"hidden_sizes": (), "input_size": 5}):
        model = random_frozen_model(rng, **options)
        assert verify(model, random_lengths(rng, model), target).is_equal


@pytest.mark.slow
@pytest.mark.parametrize("target", target_parameters())
def test_one_flipped_code_in_the_image_is_found(tmp_path: Path, target: str) -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, cell="coupled_lstm", input_size=9, hidden_sizes=(8, 6))
    sequences = random_lengths(rng, model)
    image = build(model, tmp_path / "out", target)
    assert compare(model, image, sequences) is None
    for layer, matrix in ((0, model.flat_layers[0].w_ih), (1, model.flat_layers[1].w_hh)):
        image = build(model, tmp_path / "out", target)
        flip_code(image, matrix)
        difference = compare(model, image, sequences)
        assert difference is not None
        assert difference.layer == layer
    image = build(model, tmp_path / "out", target)
    flip_code(image, model.readout.weight)
    difference = compare(model, image, sequences)
    assert difference is not None
    assert difference.kind == "output"


@pytest.mark.slow
@pytest.mark.parametrize("target", target_parameters("unicorn", "wasmtime"))
def test_counts_are_repeatable(target: str) -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, cell="gru", state_bits=13)
    sequences = random_lengths(rng, model)
    first, second = (verify(model, sequences, target) for _ in range(2))
    assert first == second
    assert first.step_count_min > 100
    assert first.step_count_min <= first.step_count_mean <= first.step_count_max
    assert first.readout_count > 20
    assert first.count_unit
    assert first.stack_bytes is None or 32 <= first.stack_bytes < 384


@pytest.mark.slow
@pytest.mark.parametrize("target", [p for p in target_parameters("unicorn") if p.values[0] in ("cortex-m0", "rv32")])
def test_blocks_count_what_single_instructions_count(tmp_path: Path, target: str) -> None:
    """On cores without IT blocks the hook on every instruction is right too, so both must agree."""
    unicorn = pytest.importorskip("unicorn")
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, product_bits=64, gate_levels=[0, 2, 4, 0])
    image = build(model, tmp_path / "out", target)
    codes = model.quantize(random_lengths(rng, model)[1])
    machine = Processor(image.target, image.path)
    executed = []
    machine._engine.hook_add(unicorn.UC_HOOK_CODE, lambda engine, address, size, data: executed.append(address))
    _, counts, readout = Driver(machine, model, image.name, image.kernels).run(codes)
    reset = execute(image, model, [codes]).step_counts.sum() - sum(counts)
    assert reset == 0
    before = len(executed)
    count = machine.call("bg_model_reset", machine.address("model_params"), machine.free_memory)[1]
    assert len(executed) - before == count
    assert before == count + sum(counts) + readout


@pytest.mark.slow
@pytest.mark.parametrize("target", target_parameters("unicorn"))
def test_writing_beyond_the_buffers_is_found(tmp_path: Path, target: str) -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, hidden_sizes=(6,), classes=None)
    image = build(model, tmp_path / "out", target)
    larger = random_frozen_model(rng, hidden_sizes=(5,), classes=None)
    with pytest.raises(ToolError, match="wrote beyond its buffers"):
        execute(image, larger, [model.quantize(random_lengths(rng, model)[1])])


def traces(change: tuple[str, int, int, int] | None = None) -> list[ProgramTrace]:
    rng = np.random.default_rng(0)
    arrays = {kind: tuple(rng.integers(-9, 9, (4, 3)).astype(np.int32) for _ in range(2)) for kind in "hc"}
    output = rng.integers(-9, 9, 5).astype(np.int32)
    if change is not None:
        kind, layer, step, unit = change
        (output[None] if kind == "output" else arrays[kind][layer])[step, unit] += 1
    return [ProgramTrace(arrays["h"], arrays["c"], output)]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("h", 0, 2, 1), "sequence 0, step 2, layer 0, h, unit 1"),
        (("c", 1, 0, 2), "sequence 0, step 0, layer 1, c, unit 2"),
        (("output", 2, 0, 4), "sequence 0, step 3, output, unit 4"),
    ],
)
def test_the_difference_is_named(change: tuple[str, int, int, int], text: str) -> None:
    assert find_difference(traces(), traces()) is None
    difference = find_difference(traces(), traces(change))
    assert difference is not None
    assert difference.found == difference.expected + 1
    assert str(difference).startswith(text)


def test_the_first_difference_is_the_earliest_step() -> None:
    wrong = traces(("h", 0, 3, 0))
    wrong[0].c[1][1, 2] += 5
    wrong[0].h[0][1, 1] += 5
    difference = find_difference(traces(), wrong)
    assert difference is not None
    assert (difference.step, difference.layer, difference.kind) == (1, 0, "h")


@pytest.mark.skipif(not COMPILERS, reason="no C compiler")
def test_host() -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng)
    result = verify(model, random_lengths(rng, model))
    assert result.is_equal
    assert result.n_values == values_of(model)
    assert "Os" in result.compiler
    assert result.as_dict()["flash_bytes"] == result.code_bytes + result.constant_bytes


def test_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_frozen_model(np.random.default_rng(0))
    with pytest.raises(ArgumentError, match="did you mean cortex-m4"):
        find_target("cortex-m4f")
    with pytest.raises(ArgumentError, match="none given"):
        verify(model, [])

    def absent(module: str) -> object:
        raise ImportError(f"No module named {module!r}")

    monkeypatch.setattr(toolchain, "import_module", absent)
    with pytest.raises(ToolError, match=r"ziglang is missing .* pip install 'bitgate\[mcu\]'"):
        verify(model, [np.zeros((1, 3))], "cortex-m0")
    with pytest.raises(ToolError, match="unicorn is missing"):
        Processor(replace(TARGETS["rv32"]), Path("nothing"))
