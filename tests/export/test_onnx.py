"""The ONNX export: the integers of the interpreter, or the same network in float32; what it promises, it checks."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitgate import export
from bitgate.errors import ArgumentError, ToolError, UnsupportedError
from bitgate.export import onnx_check, onnx_float, onnx_integer, onnx_model, onnx_sample
from bitgate.export.onnx_real import run_real
from bitgate.frozen import FrozenModel
from bitgate.frozen.record import SKIP_CELLS
from tests.frozen.make import (
    BINARY,
    CELL_GATES,
    EIGHT_BITS,
    FOUR,
    SHARINGS,
    TERNARY,
    random_frozen_model,
    random_sequences,
)

LEVELS = {"binary": BINARY, "ternary": TERNARY, "four": FOUR, "eight bits": EIGHT_BITS}
GATES = {"smooth": [0, 0, 0, 0], "step": [2, 2, 2, 2], "mixed": [0, 2, 3, 5], "many": [256, 7, 2, 0]}
CASES = [(cell, gates) for cell in CELL_GATES for gates in GATES]


def session(model: Path | onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def answers(model: Path | onnx.ModelProto, x: np.ndarray, lengths: Any) -> dict[str, np.ndarray]:
    engine = session(model)
    names = [output.name for output in engine.get_outputs()]
    return dict(zip(names, engine.run(names, {"x": x, "lengths": np.asarray(lengths, np.int64)}), strict=True))


def nodes(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@st.composite
def models(draw: st.DrawFn) -> FrozenModel:
    cell = draw(st.sampled_from(list(CELL_GATES)))
    return random_frozen_model(
        np.random.default_rng(draw(st.integers(0, 10_000))),
        cell=cell,
        input_size=draw(st.integers(1, 4)),
        hidden_sizes=draw(st.sampled_from([(4,), (3, 5), (1,), (2, 3, 2), ()])),
        classes=draw(st.sampled_from([1, 3, 5])),
        state_bits=draw(st.sampled_from([8, 9, 13, 16])),
        product_bits=draw(st.sampled_from([32, 64])),
        levels=LEVELS[draw(st.sampled_from(list(LEVELS)))],
        gate_levels=draw(st.lists(st.sampled_from([0, 2, 3, 16]), min_size=4, max_size=4))[: CELL_GATES[cell]],
        per_row=draw(st.booleans()),
        bidirectional=draw(st.booleans()),
        sharing=draw(st.sampled_from(list(SHARINGS))),
        block_size=draw(st.sampled_from([None, None, 1, 3])) if cell in SKIP_CELLS else None,
        range_bits=draw(st.integers(0, 4)),
    )


@settings(max_examples=25)
@given(models(), st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 100))
def test_integers_are_the_interpreters(model: FrozenModel, lengths: list[int], seed: int) -> None:
    x = random_sequences(np.random.default_rng(seed), model, len(lengths), max(lengths))
    found = answers(onnx_model.build_model(model, "integer"), x, lengths)
    expected = model.run(x, lengths)
    assert found["logits"].dtype == expected.dtype
    np.testing.assert_array_equal(found["logits"], expected)
    np.testing.assert_array_equal(found["class"], model.predict(x, lengths))


@pytest.mark.slow
@settings(max_examples=200)
@given(models(), st.sampled_from(["integer", "float"]))
def test_the_check_after_an_export_passes_for_any_model(model: FrozenModel, form: str) -> None:
    """Every state of every step, both engines; the float form within its tolerance of float64."""
    with tempfile.TemporaryDirectory(prefix="onnx-test-") as folder:
        path = Path(folder) / "model.onnx"
        assert export.onnx(model, path, form=form) == path


@pytest.mark.parametrize("form", ["integer", "float"])
@pytest.mark.parametrize(("cell", "gates"), CASES)
def test_hidden_states_without_readout(cell: str, gates: str, form: str, tmp_path: Path) -> None:
    seed = CASES.index((cell, gates))
    rng = np.random.default_rng(seed)
    model = random_frozen_model(
        rng, cell=cell, gate_levels=GATES[gates][: CELL_GATES[cell]], state_bits=(8, 13, 16)[seed % 3], classes=None,
        hidden_sizes=(3, 2), bidirectional=seed % 2 == 0, product_bits=(32, 64)[seed // 2 % 2],
    )  # fmt: skip
    if seed == 5:
        export.onnx(model, tmp_path / "m.onnx", form=form)
    x, lengths = random_sequences(rng, model, 3, 6), [6, 1, 4]
    found = answers(onnx_model.build_model(model, form), x, lengths)["hidden"]
    if form == "integer":
        assert found.dtype == np.int16
        np.testing.assert_array_equal(found, model.run(x, lengths))
    else:
        trace = run_real(model, x, np.array(lengths))
        clear = trace.margin > onnx_sample.MARGIN
        assert clear.any()
        expected = np.concatenate(trace.h[-len(model.layers[-1]) :], axis=-1)
        np.testing.assert_allclose(found[clear], expected[clear], rtol=0, atol=onnx_sample.FLOAT_TOLERANCE)
        assert not found[1, 1:].any()


@pytest.mark.parametrize("cell", CELL_GATES)
def test_batch_and_time_are_dynamic_and_padding_is_ignored(cell: str, tmp_path: Path) -> None:
    model = random_frozen_model(np.random.default_rng(4), cell=cell, hidden_sizes=(3, 2), bidirectional=True)
    path = export.onnx(model, tmp_path / "new" / "m.onnx")
    engine = session(path)
    for batch, steps in ((1, 1), (2, 9), (7, 3)):
        x = random_sequences(np.random.default_rng(batch), model, batch, steps)
        lengths = np.arange(batch) % steps + 1
        expected = model.run(x, lengths)
        for b, length in enumerate(lengths):
            x[b, length:] = np.nan
        found = engine.run(["logits"], {"x": x, "lengths": lengths.astype(np.int64)})[0]
        np.testing.assert_array_equal(found, expected)


def test_extreme_inputs_are_clipped_as_in_the_interpreter() -> None:
    model = random_frozen_model(np.random.default_rng(0), input_size=1)
    x = np.array([3e38, -3e38, 0.0, 1e-38, 100.0, -7.5], np.float32)[None, :, None]
    found = answers(onnx_model.build_model(model, "integer"), x, [6])
    np.testing.assert_array_equal(found["logits"], model.run(x))


@pytest.mark.parametrize("sharing", ["none", "psug2"])
@pytest.mark.parametrize("cell", ["lstm", "coupled_lstm", "gru"])
def test_smooth_layers_are_standard_nodes(cell: str, sharing: str) -> None:
    rng = np.random.default_rng(0)
    model = random_frozen_model(rng, cell=cell, hidden_sizes=(3, 2), bidirectional=True, sharing=sharing, per_row=True)
    built = onnx_model.build_model(model, "float")
    kind = "GRU" if cell == "gru" else "LSTM"
    assert nodes(built).count(kind) == 4
    assert "Scan" not in nodes(built)
    names = {attribute.name for node in built.graph.node if node.op_type == kind for attribute in node.attribute}
    assert names == {"hidden_size", *(["linear_before_reset"] if cell == "gru" else [])}
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in built.graph.initializer}
    node = next(node for node in built.graph.node if node.op_type == kind)
    if cell == "coupled_lstm":
        for name, parts in ((node.input[1], 4), (node.input[2], 4), (node.input[3], 8)):
            i, _, f, *_ = np.split(constants[name], parts, axis=1)
            np.testing.assert_array_equal(f, -i)
            assert f.any()


@pytest.mark.parametrize("form", ["integer", "float"])
@pytest.mark.parametrize("cell", CELL_GATES)
def test_discretized_layers_are_a_scan_whose_size_does_not_grow_with_time(cell: str, form: str) -> None:
    levels = [0, 2, 2, 2][: CELL_GATES[cell]]
    built = onnx_model.build_model(random_frozen_model(np.random.default_rng(0), cell=cell, gate_levels=levels), form)
    assert nodes(built).count("Scan") == 1
    assert not {"LSTM", "GRU"} & set(nodes(built))
    scan = next(node for node in built.graph.node if node.op_type == "Scan")
    body = {node.op_type for node in scan.attribute[0].g.node}
    assert ("Sigmoid" in body) == (form == "float")
    assert len(scan.attribute[0].g.node) < 60


@pytest.mark.parametrize("form", ["integer", "float"])
@pytest.mark.parametrize("cell", CELL_GATES)
def test_shared_projections_pass_the_check(cell: str, form: str, tmp_path: Path) -> None:
    model = random_frozen_model(np.random.default_rng(3), cell=cell, hidden_sizes=(3, 2), sharing="odd", per_row=True)
    export.onnx(model, tmp_path / "m.onnx", form=form)


@pytest.mark.parametrize("classes", [3, None])
@pytest.mark.parametrize("form", ["integer", "float"])
@pytest.mark.parametrize("cell", sorted(SKIP_CELLS))
def test_block_skips_pass_the_check(
    cell: str, form: str, classes: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    options: dict[str, Any] = {"hidden_sizes": (3, 2), "bidirectional": True, "sharing": "psug2", "block_size": 3}
    model = random_frozen_model(rng, cell=cell, classes=classes, **options)
    export.onnx(model, tmp_path / "m.onnx", form=form)
    assert model.layers[0][0].skip.alpha.max() > 1  # type: ignore[union-attr]
    module = onnx_integer if form == "integer" else onnx_float
    monkeypatch.setattr(module, "_add_skip", lambda body, skip, states, limit: states)
    with pytest.raises(ToolError, match="but the model has"):
        export.onnx(model, tmp_path / "m.onnx", form=form)


def test_hidden_states_of_a_skip_come_in_real_units() -> None:
    model = random_frozen_model(np.random.default_rng(0), classes=None, block_size=2, range_bits=2, product_bits=64)
    x = random_sequences(np.random.default_rng(1), model, 3, 9)
    found = answers(onnx_model.build_model(model, "float"), x, [9, 9, 9])["hidden"]
    np.testing.assert_allclose(found, model.run(x) * model.output_scale, atol=0.02)
    assert np.abs(found).max() > 0.5, "parts of a range of 4 would stay below 0.25"


def test_what_the_file_says_of_itself(tmp_path: Path) -> None:
    model = random_frozen_model(np.random.default_rng(0), class_names=["a", "b", "c", "d"])
    for form in ("integer", "float"):
        proto = onnx.load(export.onnx(model, tmp_path / "m.onnx", form=form))
        told = {entry.key: entry.value for entry in proto.metadata_props}
        assert told["form"] == form
        assert json.loads(told["class_names"]) == ["a", "b", "c", "d"]
        assert float(told["output_scale"]) == (model.output_scale if form == "integer" else 1.0)
        shapes = [
            [axis.dim_param or axis.dim_value for axis in i.type.tensor_type.shape.dim] for i in proto.graph.input
        ]
        assert shapes == [["batch", "time", 3], ["batch"]]
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def change_first_weight(proto: onnx.ModelProto, name: str) -> None:
    """Changes one weight of the layer's recurrent matrix, in the body of its loop or in its node."""
    for node in proto.graph.node:
        body = node.attribute[0].g.initializer if node.op_type == "Scan" else []
        wanted = {value for value in node.input if node.op_type in ("LSTM", "GRU")}
        for tensor in [*body, *(t for t in proto.graph.initializer if t.name in wanted)]:
            array = onnx.numpy_helper.to_array(tensor).copy()
            if array.ndim >= 2 and array.size > 8 and array.dtype in (np.int8, np.float32):
                array.flat[0] = -array.flat[0] or 1
                tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
                return
    raise AssertionError(f"{name}: found no weight to change")


@pytest.mark.parametrize("form", ["integer", "float"])
@pytest.mark.parametrize("cell", CELL_GATES)
def test_a_wrong_weight_is_caught_and_leaves_the_old_file(
    cell: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_frozen_model(np.random.default_rng(1), cell=cell)
    path = tmp_path / "m.onnx"
    path.write_bytes(b"old")
    build = onnx_model.build_model

    def broken(frozen: FrozenModel, form_name: str) -> onnx.ModelProto:
        proto = build(frozen, form_name)
        change_first_weight(proto, cell)
        return proto

    monkeypatch.setattr(onnx_model, "build_model", broken)
    with pytest.raises(ToolError, match=r"computes .* but the model has"):
        export.onnx(model, path, form=form)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_each_piece_of_arithmetic_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_frozen_model(np.random.default_rng(1), cell="coupled_lstm", hidden_sizes=(6,))
    faults = {
        "halves down": (onnx_integer, "round_shift", onnx_integer.floor_shift),
        "rows in our order": (onnx_float, "_NODE_ROWS", {**onnx_float._NODE_ROWS, "coupled_lstm": "ifog"}),
    }
    for form, (module, name, wrong) in zip(("integer", "float"), faults.values(), strict=True):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, wrong)
            with pytest.raises(ToolError, match="but the model has"):
                export.onnx(model, tmp_path / "m.onnx", form=form)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("engine", ["_run_onnxruntime", "_run_reference"])
def test_both_engines_are_asked(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_frozen_model(np.random.default_rng(1))
    run = getattr(onnx_check, engine)

    def wrong(*arguments: Any) -> Any:
        found = run(*arguments)
        return found | {"class": found["class"] + 1}

    monkeypatch.setattr(onnx_check, engine, wrong)
    with pytest.raises(ToolError, match="onnxruntime" if "runtime" in engine else "reference evaluator"):
        export.onnx(model, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_frozen_model(np.random.default_rng(0), gate_levels=[2, 2, 2, 2])
    with pytest.raises(ArgumentError, match=r"frozen: dict, expected a FrozenModel; bitgate.freeze"):
        export.onnx({}, tmp_path / "m.onnx")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"form: 'int8', expected one of"):
        export.onnx(model, tmp_path / "m.onnx", form="int8")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="is a folder"):
        export.onnx(model, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(onnx_sample, "MARGIN", np.inf)
        with pytest.raises(UnsupportedError, match=r"'float' cannot be checked.*form='integer'"):
            export.onnx(model, tmp_path / "m.onnx", form="float")
    object.__setattr__(model.layers[0][0], "cell", "ql_lstm")
    with pytest.raises(UnsupportedError, match=r"cell 'ql_lstm', expected one of"):
        onnx_model.build_model(model, "integer")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "bitgate.export.onnx_check")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ToolError, match=r"pip install 'bitgate\[onnx\]'"):
        export.onnx(random_frozen_model(np.random.default_rng(0)), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
