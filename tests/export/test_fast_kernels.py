"""Fast kernels against the interpreter: every state of every step and every logit, at odd sizes and extreme values."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitgate import export
from bitgate.errors import ArgumentError, UnsupportedError
from bitgate.export.c_fast import (
    KERNELS,
    LANE_INPUTS,
    MAX_STATE_BITS,
    TABLE_ENTRIES,
    Kernels,
    joint_gates,
    order_weights,
    separate_gates,
    table_groups,
)
from bitgate.export.c_header import state_sizes
from bitgate.export.c_kernels import source_folder, step_function
from bitgate.export.difference import find_difference, reference
from bitgate.export.targets import execute
from bitgate.export.verify import verify
from bitgate.frozen import FrozenModel, PackedMatrix
from bitgate.frozen.record import SKIP_CELLS
from tests.export.build import ALL_FLAGS, assert_program_equals
from tests.export.targets import build, random_lengths, target_parameters
from tests.frozen.make import BINARY, CELL_GATES, FOUR, TERNARY, random_frozen_model, random_layer

FAST = [(kernels, bits) for kernels in ("table", "lanes") for bits in (8, 11, 13) if bits <= MAX_STATE_BITS[kernels]]
GATES = {"smooth": [0, 0, 0, 0], "step": [2, 2, 2, 2], "mixed": [4, 0, 2, 3], "binary": [0, 2, 2, 0]}
# Inputs and layers: below a group, whole and broken groups, more than one pass of tables (16 or 32) and of lanes (64).
SIZES = [(1, (1,)), (3, (5, 3)), (4, (4,)), (9, (33,)), (37, (6,)), (70, (2, 65)), (64, (8,)), (21, (130,))]
# What the kernels sum without multipliers, so that the step scales by gate and unit.
FORMS: dict[str, dict[str, Any]] = {
    "own projections": {},
    "psug2": {"sharing": "psug2", "per_row": True},
    "psug1": {"sharing": "psug1"},
    "odd": {"sharing": "odd", "per_row": True},
    "rows": {"per_row": True},
    "wide": {"product_bits": 64},
}
SEPARATE = [form for form in FORMS if form != "own projections"]
SANITIZE = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def model_of(
    case: int, cell: str, bits: int, gates: str, form: str = "own projections"
) -> tuple[np.random.Generator, FrozenModel]:
    rng = np.random.default_rng(case)
    input_size, hidden_sizes = SIZES[case % len(SIZES)]
    return rng, random_frozen_model(
        rng, cell=cell, state_bits=bits, gate_levels=GATES[gates][: CELL_GATES[cell]], input_size=input_size,
        hidden_sizes=hidden_sizes, classes=None if case % 5 == 4 else 3,
        block_size=2 if case % 3 == 0 and cell in SKIP_CELLS else None, range_bits=case % 4, short_biases=True,
        **FORMS[form],
    )  # fmt: skip


def build_fast(model: FrozenModel, folder: Path, kernels: str, flags: list[str]) -> Path:
    export.c99(model, folder, kernels=kernels)
    return export.compile_host(folder, flags=[*ALL_FLAGS, *flags])


@pytest.mark.parametrize("cell", CELL_GATES)
@pytest.mark.parametrize(("kernels", "bits"), FAST)
def test_sanitized_program_equals_interpreter(tmp_path: Path, kernels: str, bits: int, cell: str) -> None:
    for case in range(2):
        where = FAST.index((kernels, bits)) + 4 * list(CELL_GATES).index(cell) + 3 * case
        rng, model = model_of(where, cell, bits, list(GATES)[where % 4])
        binary = build_fast(model, tmp_path / f"{case}", kernels, SANITIZE)
        assert_program_equals(model, binary, rng, lengths=(1, 5, 3))


@pytest.mark.parametrize("form", SEPARATE)
@pytest.mark.parametrize("cell", CELL_GATES)
@pytest.mark.parametrize("kernels", ["table", "lanes"])
def test_sanitized_program_with_separate_sums(tmp_path: Path, kernels: str, cell: str, form: str) -> None:
    case = 3 * SEPARATE.index(form) + 5 * list(CELL_GATES).index(cell)
    rng, model = model_of(case, cell, MAX_STATE_BITS[kernels], list(GATES)[case % 4], form)
    assert all(joint_gates(layer) == 0 for layer in model.flat_layers)
    binary = build_fast(model, tmp_path, kernels, SANITIZE)
    assert_program_equals(model, binary, rng, lengths=(1, 5, 3))


@pytest.mark.slow
@pytest.mark.parametrize("form", SEPARATE)
@pytest.mark.parametrize("cell", CELL_GATES)
@pytest.mark.parametrize(("kernels", "bits"), FAST)
def test_program_with_separate_sums_everywhere(tmp_path: Path, kernels: str, bits: int, cell: str, form: str) -> None:
    for size in range(len(SIZES)):
        rng, model = model_of(size, cell, bits, list(GATES)[(size + bits) % 4], form)
        flags = [["-O2"], ["-Os"], ["-O2", "-DBG_ASSEMBLY=0"]][size % 3]
        assert_program_equals(model, build_fast(model, tmp_path / f"{size}", kernels, flags), rng)


@pytest.mark.slow
@pytest.mark.parametrize("size", range(len(SIZES)))
@pytest.mark.parametrize("cell", CELL_GATES)
@pytest.mark.parametrize(("kernels", "bits"), FAST)
def test_program_equals_interpreter_everywhere(tmp_path: Path, kernels: str, bits: int, cell: str, size: int) -> None:
    for k, gates in enumerate(GATES):
        rng, model = model_of(size + len(SIZES) * k, cell, bits, gates)
        binary = build_fast(model, tmp_path / gates, kernels, ["-O2"])
        assert_program_equals(model, binary, rng)


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELL_GATES)
@pytest.mark.parametrize(("kernels", "bits"), FAST)
def test_c_alone_equals_interpreter(tmp_path: Path, kernels: str, bits: int, cell: str) -> None:
    """Without inner loops by hand, which only some processors have, and with the loops that take less code."""
    for case in range(len(SIZES)):
        rng, model = model_of(case, cell, bits, list(GATES)[case % 4])
        flags = ["-O2", "-DBG_ASSEMBLY=0", f"-DBG_SMALL={case % 2}"]
        binary = build_fast(model, tmp_path / f"{case}", kernels, flags)
        assert_program_equals(model, binary, rng)


def with_biases(model: FrozenModel, bias: int, unit: int) -> FrozenModel:
    """One bias of the first layer set, in the middle of its rows; in units of Q12 (8) or Q15 (1)."""
    layer = model.flat_layers[0]
    biases = layer.bias.copy()
    biases[len(biases) // 2] = bias * unit
    return replace(model, layers=((replace(layer, bias=biases),), *model.layers[1:]))


@pytest.mark.parametrize(("gates", "step"), [("smooth", "smooth_step"), ("binary", "binary_step")])
@pytest.mark.parametrize(("kernels", "bits"), [("table", 13), ("lanes", 8)])
@pytest.mark.parametrize(
    ("bias", "unit", "is_short"),
    [(-(1 << 15), 8, True), ((1 << 15) - 1, 8, True), (-(1 << 15) - 1, 8, False), (1 << 15, 8, False), (9, 1, False)],
)
def test_biases_that_are_no_16_bits_take_the_general_step(
    tmp_path: Path, kernels: Kernels, bits: int, gates: str, step: str, bias: int, unit: int, is_short: bool
) -> None:
    """As those of files from before biases were rounded; at the limits of int16, and beyond."""
    rng, model = model_of(1, "coupled_lstm", bits, gates)
    model = with_biases(model, bias, unit)
    first, second = model.flat_layers
    assert (first.has_short_biases, second.has_short_biases) == (is_short, True)
    assert step_function(second, kernels) == f"bg_coupled_lstm_{step}"
    assert step_function(first, kernels) == f"bg_coupled_lstm_{step if is_short else 'sums_step'}"
    binary = build_fast(model, tmp_path, kernels, SANITIZE)
    assert_program_equals(model, binary, rng, lengths=(1, 5, 3))


@pytest.mark.slow
@pytest.mark.parametrize("target", target_parameters("unicorn"))
@pytest.mark.parametrize("bias", [-(1 << 15), (1 << 15) - 1, 1 << 15])
@pytest.mark.parametrize("gates", ["smooth", "binary"])
def test_biases_at_their_limits_on_targets(target: str, bias: int, gates: str) -> None:
    for kernels, bits in (("table", 13), ("lanes", 8)):
        rng, model = model_of(1, "coupled_lstm", bits, gates)
        model = with_biases(model, bias, 8)
        assert verify(model, random_lengths(rng, model), target, kernels=kernels, optimize="Os").difference is None


def test_short_biases_are_half_as_large(tmp_path: Path) -> None:
    _, model = model_of(1, "coupled_lstm", 8, "smooth")
    export.c99(with_biases(model, 9, 1), tmp_path, kernels="lanes")
    text = (tmp_path / "src" / "model.c").read_text()
    sizes = [3 * layer.hidden_size for layer in model.flat_layers]
    assert f"static const int32_t layer0_bias[{sizes[0]}]" in text
    assert f"static const int16_t layer1_bias[{sizes[1]}]" in text


def test_tables_grow_where_there_is_memory() -> None:
    rng = np.random.default_rng(0)
    small = random_frozen_model(rng, cell="coupled_lstm", input_size=4, hidden_sizes=(64,), state_bits=8)
    large = random_frozen_model(rng, cell="coupled_lstm", input_size=4, hidden_sizes=(64, 32), state_bits=8)
    largest = random_frozen_model(rng, cell="coupled_lstm", input_size=9, hidden_sizes=(128, 64), state_bits=8)
    assert [table_groups(model) for model in (small, large, largest)] == [8, 7, 3]
    assert [2 * sum(state_sizes(model, "table")) for model in (small, large, largest)] == [2464, 2412, 2844]


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELL_GATES)
@pytest.mark.parametrize(("kernels", "bits"), FAST)
@pytest.mark.parametrize("target", target_parameters("unicorn", "wasmtime"))
def test_targets(target: str, kernels: str, bits: int, cell: str) -> None:
    for size in range(len(SIZES)):
        rng, model = model_of(size, cell, bits, list(GATES)[(size + bits) % 4])
        result = verify(model, random_lengths(rng, model), target, kernels=kernels, optimize=["O2", "Os"][size % 2])
        assert result.difference is None
        assert result.kernels == kernels
        assert result.stack_bytes is None or result.stack_bytes < 512  # promised in bg_model.h


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELL_GATES)
@pytest.mark.parametrize("kernels", ["table", "lanes"])
@pytest.mark.parametrize("target", target_parameters("unicorn", "wasmtime"))
def test_targets_with_separate_sums(target: str, kernels: str, cell: str) -> None:
    for k, form in enumerate(SEPARATE):
        case = k + 3 * list(CELL_GATES).index(cell)
        rng, model = model_of(case, cell, MAX_STATE_BITS[kernels], list(GATES)[case % 4], form)
        result = verify(model, random_lengths(rng, model), target, kernels=kernels, optimize=["O2", "Os"][k % 2])
        assert result.difference is None
        assert result.stack_bytes is None or result.stack_bytes < 512


@pytest.mark.parametrize(("kernels", "bits"), [("table", 13), ("lanes", 8)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_largest_sums(tmp_path: Path, kernels: str, bits: int, sign: int) -> None:
    """All weights one and all inputs at their limit: the largest sums that tables and lanes have to hold."""
    rng = np.random.default_rng(0)
    layer = random_layer(rng, 64, 4, state_bits=bits)
    ones = PackedMatrix.from_codes(np.full((16, 64), 1 + sign, dtype=np.uint8), np.array(TERNARY, dtype=np.int8))
    layer = replace(layer, w_ih=ones, mult_ih=np.full(4, 9, dtype=np.int32), shift=np.full(4, 5, dtype=np.int32))
    layer = replace(layer, mult_hh=np.full(4, 9, dtype=np.int32))
    model = replace(random_frozen_model(rng, input_size=64, hidden_sizes=(4,), state_bits=bits), layers=((layer,),))
    limit = (1 << (bits - 1)) - 1
    codes = np.stack([np.full(64, limit), np.full(64, -limit), limit * rng.choice([-1, 1], 64)])
    x = (codes / model.input_map.gain + model.input_map.mean).astype(np.float32)
    binary = build_fast(model, tmp_path / "out", kernels, SANITIZE)
    trace = export.trace_program(binary, [x])[0]
    expected = model.trace(x[None])
    np.testing.assert_array_equal(trace.h[0], expected.h[0][0])
    np.testing.assert_array_equal(trace.c[0], expected.c[0][0])


@pytest.mark.parametrize("kernels", ["table", "lanes"])
def test_one_flipped_bit_is_found(tmp_path: Path, kernels: str) -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, cell="coupled_lstm", input_size=9, hidden_sizes=(8,), state_bits=8)
    x = random_lengths(rng, model)
    codes = [model.quantize(sequence) for sequence in x]
    image = build(model, tmp_path / "out", "host", kernels)
    assert find_difference(reference(model, x), execute(image, model, codes).traces) is None
    content = bytearray(image.path.read_bytes())
    ordered = order_weights(model.flat_layers[0].w_ih, 3, kernels, 8).tobytes()
    assert content.count(ordered) == 1
    content[content.index(ordered)] ^= 2
    image.path.write_bytes(content)
    assert find_difference(reference(model, x), execute(image, model, codes).traces) is not None


def test_order_of_weights() -> None:
    """One row block of known weights, byte by byte."""
    codes = np.zeros((3, 5), dtype=np.uint8)  # weights -1
    codes[0, :4] = [2, 1, 0, 2]
    matrix = PackedMatrix.from_codes(codes, np.array(TERNARY, dtype=np.int8))
    tables = order_weights(matrix, 3, "table", 4).reshape(3, 2, 4)
    neutral = 2 * (10 * 4 + 4)
    assert tables[0, 0].tolist() == [2 * (10 * 7 + 2), neutral, neutral, neutral]
    assert tables[0, 1, 0] == 2 * (10 * 1 + 4)  # -1, then nothing
    assert tables[1, 0, 0] == 0
    words = order_weights(matrix, 3, "lanes", 4).reshape(3, 1, 2)
    assert words.dtype == np.uint32
    # Gate 1, inputs 0 to 4 of row 0 are -1, that is 0 one too large; all others are weights 0.
    bits = [1 << (4 * (j // 2) + 16 * (j % 2)) for j in range(8)]
    assert words[1, 0].tolist() == [sum(bits[5:]), sum(bits)]


def test_constants_of_python_and_c_agree() -> None:
    text = (source_folder() / "bg_sums.h").read_text()
    for name, value in (("TABLE_ENTRIES", TABLE_ENTRIES), ("LANE_INPUTS", LANE_INPUTS)):
        assert f"#define BG_{name} {value}\n" in text


def test_sums_by_cell() -> None:
    """Joint sums where the step has no other use for the two of a row: by gate, one multiplier each, 32 bits."""
    rng = np.random.default_rng(0)

    def sums(**options: Any) -> tuple[int, int]:
        (layer,) = random_frozen_model(rng, state_bits=8, **options).flat_layers
        return joint_gates(layer), separate_gates(layer)

    assert [sums(cell=cell) for cell in ("lstm", "coupled_lstm", "gru", "gated_rnn")] == [
        (4, 0),
        (3, 0),
        (2, 1),
        (0, 2),
    ]
    assert [sums(sharing=sharing) for sharing in ("psug2", "psug1", "odd")] == [(0, 2), (0, 1), (0, 3)]
    assert sums(per_row=True) == sums(product_bits=64) == (0, 4)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kernels, options, message in (
        ("lanes", {"state_bits": 13}, "states of 13 bits, at most 8"),
        ("table", {"state_bits": 16}, "states of 16 bits, at most 13"),
        ("table", {"state_bits": 8, "levels": BINARY}, "layer 0 are not ternary"),
        ("lanes", {"state_bits": 8, "levels": FOUR, "sharing": "psug2"}, "layer 0 are not ternary"),
        ("lanes", {"state_bits": 8, "hidden_sizes": ()}, "no recurrent layer"),
    ):
        with pytest.raises(UnsupportedError, match=message):
            export.c99(random_frozen_model(rng, **options), tmp_path / "out", kernels=kernels)
    with pytest.raises(ArgumentError, match="expected one of plain, table, lanes"):
        export.c99(random_frozen_model(rng), tmp_path / "out", kernels="fast")
    assert not (tmp_path / "out").exists()
    assert len(KERNELS) == 3


def test_changing_the_kernels_removes_the_files_of_the_others(tmp_path: Path) -> None:
    model = random_frozen_model(np.random.default_rng(0), state_bits=8)
    for kernels, there, gone in (("table", "bg_table.c", "bg_lanes.c"), ("lanes", "bg_lanes.c", "bg_table.c")):
        export.c99(model, tmp_path, kernels=kernels)
        assert (tmp_path / "src" / there).exists()
        assert not (tmp_path / "src" / gone).exists()
        assert not (tmp_path / "src" / "bg_layer.c").exists()
