"""The model file: exact round trips, atomic writes, and refusal of everything damaged or hostile."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from bitgate.errors import FormatError
from bitgate.frozen import FrozenModel, file, load
from bitgate.frozen.record import SKIP_CELLS
from tests.frozen.make import CELL_GATES, FOUR, SHARINGS, random_frozen_model, random_sequences


def make(cell: str = "gru", **options: Any) -> FrozenModel:
    return random_frozen_model(np.random.default_rng(7), cell=cell, class_names=list("abcd"), **options)


def read_parts(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    with safe_open(path, framework="numpy") as container:
        return container.metadata(), {key: container.get_tensor(key) for key in container.keys()}  # noqa: SIM118


@pytest.mark.parametrize("cell", CELL_GATES)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_round_trip_is_exact(tmp_path: Path, cell: str, bidirectional: bool) -> None:
    gates = [0, 2, 5, 3][: CELL_GATES[cell]]
    model = make(cell, bidirectional=bidirectional, hidden_sizes=(5, 2), levels=FOUR, gate_levels=gates)
    path = tmp_path / "a.bitgate"
    model.save(path)
    loaded = load(path)
    x = random_sequences(np.random.default_rng(0), model, 2, 5)
    np.testing.assert_array_equal(loaded.run(x), model.run(x))
    assert loaded.metadata == model.metadata
    assert loaded.class_names == ("a", "b", "c", "d")
    loaded.save(tmp_path / "b.bitgate")
    assert read_parts(path)[0] == read_parts(tmp_path / "b.bitgate")[0]
    for key, value in read_parts(path)[1].items():
        other = read_parts(tmp_path / "b.bitgate")[1][key]
        assert value.dtype == other.dtype
        assert value.tobytes() == other.tobytes()


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("cell", CELL_GATES)
def test_versions(tmp_path: Path, cell: str, sharing: str) -> None:
    """Version 1 where it suffices, so that older readers go on; version 2 for what it has no names for."""
    path = tmp_path / "m"
    for block_size in (None, 7) if cell in SKIP_CELLS else (None,):
        model = make(cell, sharing=sharing, block_size=block_size, hidden_sizes=(5, 2))
        model.save(path)
        is_new = cell == "gated_rnn" or sharing != "none" or block_size is not None
        assert read_parts(path)[0]["version"] == ("2" if is_new else "1")
        loaded = load(path)
        x = random_sequences(np.random.default_rng(0), model, 2, 15)
        np.testing.assert_array_equal(loaded.run(x), model.run(x))
        for a, b in zip(loaded.flat_layers, model.flat_layers, strict=True):
            assert a.sharing == b.sharing
            assert (a.skip is None) == (b.skip is None)
        header, tensors = read_parts(path)
        save_file(tensors, path, header | {"version": "1" if is_new else "2"})
        with pytest.raises(FormatError, match="but what it holds is of version"):
            load(path)


def test_without_readout(tmp_path: Path) -> None:
    model = random_frozen_model(np.random.default_rng(0), classes=None)
    model.save(tmp_path / "m")
    assert load(tmp_path / "m").readout is None


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.bitgate"
    make().save(path)
    before = path.read_bytes()

    def fail(tensors: Any, target: Path, header: Any) -> None:
        target.write_bytes(before[:50])
        raise OSError("disk full")

    monkeypatch.setattr(file, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        make("lstm").save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.bitgate"]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such model file"):
        load(tmp_path / "nothing")


def load_or_refuse(path: Path) -> FrozenModel | None:
    """A model or FormatError; everything else escapes and fails the test."""
    try:
        return load(path)
    except FormatError:
        return None


def test_truncation_is_refused(tmp_path: Path) -> None:
    make(hidden_sizes=(3,)).save(tmp_path / "m")
    raw = (tmp_path / "m").read_bytes()
    cut = tmp_path / "cut"
    for length in [*range(64), *range(64, len(raw), 37), len(raw) - 1]:
        cut.write_bytes(raw[:length])
        assert load_or_refuse(cut) is None


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_bytes_never_crash(tmp_path: Path, changes: list[tuple[float, int]]) -> None:
    source = tmp_path / "m"
    if not source.exists():
        make(hidden_sizes=(3,)).save(source)
    raw = bytearray(source.read_bytes())
    for place, value in changes:
        raw[int(place * len(raw))] = value
    (tmp_path / "bad").write_bytes(raw)
    model = load_or_refuse(tmp_path / "bad")
    if model is not None:
        model.run(np.zeros((1, 2, model.input_size), dtype=np.float32))


EDITS: dict[str, Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], Any]] = {
    "missing tensor": lambda d, t, e: t.pop("layers.0.0.bias"),
    "unknown tensor": lambda d, t, e: t.update(extra=np.zeros(3, np.float32)),
    "misshaped": lambda d, t, e: t.update({"layers.0.0.bias": np.zeros(2, np.int32)}),
    "wrong type": lambda d, t, e: t.update({"layers.0.0.bias": t["layers.0.0.bias"].astype(np.int64)}),
    "float gain": lambda d, t, e: t.update({"input.gain": t["input.gain"].astype(np.float64)}),
    "gain nan": lambda d, t, e: t.update({"input.gain": t["input.gain"] * np.float32(np.nan)}),
    "scalar mean": lambda d, t, e: t.update({"input.mean": np.array(1.0, dtype=np.float32)}),
    "codes beyond levels": lambda d, t, e: t.update({"layers.0.0.w_ih": t["layers.0.0.w_ih"] | 3}),
    "huge columns": lambda d, t, e: e["w_hh"].update(columns=10**18),
    "negative columns": lambda d, t, e: e["w_hh"].update(columns=-8),
    "columns text": lambda d, t, e: e["w_hh"].update(columns="5"),
    "bits": lambda d, t, e: e["w_hh"].update(bits=3),
    "no levels": lambda d, t, e: e["w_hh"].update(levels=[]),
    "level -128": lambda d, t, e: e["w_hh"].update(levels=[-128, 0, 1]),
    "level int64": lambda d, t, e: e["w_hh"].update(levels=[-(2**63), 0, 1]),
    "nested levels": lambda d, t, e: e["w_hh"].update(levels=[[1, 0], [2]]),
    "cell": lambda d, t, e: e.update(cell="rnn"),
    "cell list": lambda d, t, e: e.update(cell=["gru"]),
    "gate_levels": lambda d, t, e: e.update(gate_levels=[0, 1, 0]),
    "gate_levels short": lambda d, t, e: e.update(gate_levels=[0]),
    "gate_levels float": lambda d, t, e: e.update(gate_levels=[0, 2.0, 0]),
    "reverse": lambda d, t, e: e.update(reverse=1),
    "reverse first": lambda d, t, e: e.update(reverse=True),
    "product_bits": lambda d, t, e: e.update(product_bits=16),
    "product too narrow": lambda d, t, e: t.update({"layers.0.0.mult_ih": np.full(3, 2**31 - 1, np.int32)}),
    "shift 0": lambda d, t, e: t.update({"layers.0.0.shift": np.zeros(3, np.int32)}),
    "bias_hn missing": lambda d, t, e: t.pop("layers.0.0.bias_hn"),
    "state_bits": lambda d, t, e: d.update(state_bits=17),
    "state_bits bool": lambda d, t, e: d.update(state_bits=True),
    "layers none": lambda d, t, e: d.update(layers=None),
    "no layers": lambda d, t, e: d.update(layers=[]),
    "empty layer": lambda d, t, e: d.update(layers=[[]]),
    "readout list": lambda d, t, e: d.update(readout=[1]),
    "scale": lambda d, t, e: d["readout"].update(scale=-1.0),
    "scale nan": lambda d, t, e: d["readout"].update(scale=float("nan")),
    "metadata": lambda d, t, e: d.update(metadata=3),
    "class_names": lambda d, t, e: d.update(metadata={"class_names": 5}),
    "class_names short": lambda d, t, e: d.update(metadata={"class_names": ["a"]}),
    "class_names numbers": lambda d, t, e: d.update(metadata={"class_names": [1, 2, 3, 4]}),
    "unknown key": lambda d, t, e: d.update(extra=1),
}


@pytest.mark.parametrize("change", EDITS)
def test_hostile_descriptions_are_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "m"
    make().save(path)
    header, tensors = read_parts(path)
    description = json.loads(header["model"])
    EDITS[change](description, tensors, description["layers"][0][0])
    save_file(tensors, path, header | {"model": json.dumps(description)})
    assert load_or_refuse(path) is None


SKIP_EDITS: dict[str, Callable[[dict[str, Any], dict[str, Any]], Any]] = {
    "sharing short": lambda t, e: e.update(sharing=[0, 0, 1]),
    "sharing gap": lambda t, e: e.update(sharing=[0, 0, 2, 0]),
    "sharing negative": lambda t, e: e.update(sharing=[0, -1, 1, 0]),
    "sharing huge": lambda t, e: e.update(sharing=[0, 0, 10**30, 0]),
    "sharing bool": lambda t, e: e.update(sharing=[0, 0, True, 0]),
    "sharing text": lambda t, e: e.update(sharing="psug2"),
    "sharing empty": lambda t, e: e.update(sharing=[]),
    "sharing null": lambda t, e: e.update(sharing=None),
    "one projection": lambda t, e: e.update(sharing=[0, 0, 0, 0]),
    "four projections": lambda t, e: e.pop("sharing"),
    "skip null": lambda t, e: e.update(skip=None),
    "skip key": lambda t, e: e["skip"].update(extra=1),
    "kind": lambda t, e: e["skip"].update(kind="step"),
    "no kind": lambda t, e: e["skip"].pop("kind"),
    "block 0": lambda t, e: e["skip"].update(block_size=0),
    "block too long": lambda t, e: e["skip"].update(block_size=32768),
    "block float": lambda t, e: e["skip"].update(block_size=2.0),
    "range": lambda t, e: e["skip"].update(range_bits=13),
    "range negative": lambda t, e: e["skip"].update(range_bits=-1),
    "alpha missing": lambda t, e: t.pop("layers.0.0.alpha"),
    "alpha above 1": lambda t, e: t.update({"layers.0.0.alpha": np.array([32769], np.int32)}),
    "alpha negative": lambda t, e: t.update({"layers.0.0.alpha": np.array([-1], np.int32)}),
    "alpha float": lambda t, e: t.update({"layers.0.0.alpha": np.array([1], np.float32)}),
    "alpha scalar": lambda t, e: t.update({"layers.0.0.alpha": np.array(1, np.int32)}),
    "alpha empty": lambda t, e: t.update({"layers.0.0.alpha": np.zeros(0, np.int32)}),
    "alpha of two": lambda t, e: t.update({"layers.0.0.alpha": np.zeros(2, np.int32)}),
    "alpha without skip": lambda t, e: e.pop("skip"),
    "cell": lambda t, e: e.update(cell="coupled_lstm"),
    "unknown key": lambda t, e: e.update(extra=1),
}


@pytest.mark.parametrize("change", [None, *SKIP_EDITS])
def test_hostile_gate_maps_and_skips_are_refused(tmp_path: Path, change: str | None) -> None:
    path = tmp_path / "m"
    make("lstm", sharing="psug2", block_size=16).save(path)
    header, tensors = read_parts(path)
    description = json.loads(header["model"])
    if change is not None:
        SKIP_EDITS[change](tensors, description["layers"][0][0])
    save_file(tensors, path, header | {"model": json.dumps(description)})
    assert (load_or_refuse(path) is None) == (change is not None)


def test_a_skip_of_another_cell_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m"
    make("gru", sharing="psug2").save(path)
    header, tensors = read_parts(path)
    description = json.loads(header["model"])
    description["layers"][0][0]["skip"] = {"kind": "block", "block_size": 2, "range_bits": 0}
    save_file(tensors | {"layers.0.0.alpha": np.zeros(1, np.int32)}, path, header | {"model": json.dumps(description)})
    with pytest.raises(FormatError, match="skip: gru has none"):
        load(path)


def test_unedited_description_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "m"
    make().save(path)
    header, tensors = read_parts(path)
    save_file(tensors, path, header | {"model": json.dumps(json.loads(header["model"]))})
    assert load_or_refuse(path) is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "not a bitgate model"),
        ({"version": "3"}, "version 3 of the format; this bitgate reads 1 and 2"),
        ({"model": "{"}, "m: "),
        ({"model": "[" * 100_000}, "m: "),
        ({"model": "[]"}, "m: "),
        ({"model": "1" * 5000}, "m: "),
    ],
)
def test_wrong_headers(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    path = tmp_path / "m"
    make().save(path)
    header, tensors = read_parts(path)
    save_file(tensors, path, header | changes)
    with pytest.raises(FormatError, match=message):
        load(path)


def test_not_our_files(tmp_path: Path) -> None:
    path = tmp_path / "m"
    for raw in (b"", b"PK\x03\x04" * 100, struct.pack("<Q", 2**63) + b"{}", struct.pack("<Q", 2) + b"{}"):
        path.write_bytes(raw)
        with pytest.raises(FormatError, match="m: "):
            load(path)
    save_file({"a": np.zeros(2, np.float32)}, path)
    with pytest.raises(FormatError, match="not a bitgate model"):
        load(path)


def test_dense_weights(tmp_path: Path) -> None:
    """The same integers in fewer bytes; bytes and keys that mean nothing are refused."""
    model = random_frozen_model(np.random.default_rng(0), input_size=7, hidden_sizes=(11, 5))
    dense = model.with_packing(dense=True)
    path = tmp_path / "m.bitgate"
    dense.save(path)
    loaded = load(path)
    assert all(layer.w_ih.is_dense and layer.w_hh.is_dense for layer in loaded.flat_layers)
    x = random_sequences(np.random.default_rng(0), model, 2, 5)
    np.testing.assert_array_equal(loaded.run(x), model.run(x))
    plain = loaded.with_packing(dense=False)
    for a, b in zip(plain.flat_layers, model.flat_layers, strict=True):
        np.testing.assert_array_equal(a.w_ih.packed, b.w_ih.packed)
    metadata, tensors = read_parts(path)
    for value, message in ((243, "byte 243"), (242, "spare digits")):
        broken = {key: array.copy() for key, array in tensors.items()}
        broken["layers.0.0.w_ih"][0, 1] = value
        save_file(broken, path, metadata)
        with pytest.raises(FormatError, match=message):
            load(path)
    description = json.loads(metadata["model"])
    for value, message in (("yes", "dense must be true or false"), (False, "a code exceeds the last of 3")):
        description["layers"][0][0]["w_ih"]["dense"] = value
        save_file(tensors, path, {**metadata, "model": json.dumps(description)})
        with pytest.raises(FormatError, match=message):
            load(path)
