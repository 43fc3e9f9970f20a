"""The binding itself refuses every array that does not fit: a Python error, never an access outside an array."""

from typing import Any

import numpy as np
import pytest

from bitgate import runtime
from bitgate.runtime import binding
from tests.frozen.make import random_frozen_model

pytestmark = pytest.mark.skipif(not runtime.native_available(), reason=runtime.native_status())

INPUTS, H, B, T = 3, 5, 2, 4
I32 = np.int32
LOWEST = np.int16(-32768)  # one below what state_bits 16 allows

NAMES = (
    *("cell", "w_ih", "w_hh", "gates", "mult_ih", "mult_hh"),
    *("per_row", "shift", "bias", "bias_hn", "product_bits", "sharing", "skip"),
)


@pytest.fixture
def parts() -> dict[str, Any]:
    """Arguments of a good native GRU, open to change."""
    model = random_frozen_model(np.random.default_rng(0), cell="gru", gate_levels=[0, 3, 2])
    assert model.readout is not None
    layer = dict(zip(NAMES, binding._layer(model.layers[0][0]), strict=True))
    return {"layer": layer, "readout": binding._readout(model.readout), "inputs": INPUTS, "state_bits": 16}


def build(parts: dict[str, Any]) -> Any:
    native = binding._import_native()
    layers = ((tuple(parts["layer"].values()), parts["inputs"]),)
    return native.Model(parts["state_bits"], INPUTS, layers, parts["readout"])


def z(*shape: int, dtype: Any = np.int16) -> np.ndarray:
    return np.zeros(shape, dtype=dtype)


def with_item(values: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    return (*values[:index], value, *values[index + 1 :])


def test_good_arguments_are_accepted(parts: dict[str, Any]) -> None:
    model = build(parts)
    h, c, logits = z(B, T, H), z(B, T, H), z(B, 4, dtype=I32)
    model.run_layer(0, False, z(B, T, INPUTS) + 1000, np.full(B, T, I32), h, c)
    model.run_layer(0, False, z(B, T, INPUTS), np.full(B, T, I32), h, None)
    model.step(z(B, 2 * H), z(B, INPUTS))
    model.logits(z(B, H), logits)
    assert logits.any()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mult_ih", z(2, dtype=I32)),
        ("mult_hh", z(3, dtype=np.int64)),
        ("per_row", True),
        ("shift", np.ones(2, np.uint8)),
        ("shift", np.zeros(3, np.uint8)),
        ("shift", np.full(3, 31, np.uint8)),
        ("bias", z(14, dtype=I32)),
        ("bias", z(15, 1, dtype=I32)),
        ("bias", z(30, dtype=I32)[::2]),
        ("bias_hn", z(4, dtype=I32)),
        ("bias_hn", None),
        ("product_bits", 16),
        ("cell", "lstm"),
        ("cell", "rnn"),
        ("gates", ()),
        ("gates", 3),
        ("gates", ((0, None, None), (300, None, None), (0, None, None))),
        ("gates", ((0, None, None), (3, None, None), (0, None, None))),
        ("gates", ((0, None, None), (3, z(2, dtype=I32), z(3)), (0, None, None))),
        ("w_ih", ()),
        ("w_hh", None),
        ("sharing", z(2, dtype=np.uint8)),
        ("sharing", z(3, dtype=np.uint8)),  # one projection, but rows for three
        ("sharing", np.array([0, 2, 3], np.uint8)),
        ("sharing", np.array([0, 2, 2], np.uint8)),
        ("sharing", (0, 1, 2)),
        ("skip", (z(1, dtype=np.uint16), False, 16, 1)),  # a GRU has none
        ("skip", 3),
    ],
)
def test_bad_layers(parts: dict[str, Any], name: str, value: Any) -> None:
    parts["layer"][name] = value
    with pytest.raises(
        (ValueError, TypeError, BufferError),
        match=r"wrong type|must be|not one|fit|argument|tuple|bytes-like|contiguous|memory|skip: cell",
    ):
        build(parts)


# alpha, alpha_per_unit, block_size, range_bits
@pytest.mark.parametrize(
    ("index", "value"),
    [
        (0, z(2, dtype=np.uint16)),
        (0, z(1)),
        (0, np.full(1, 32769, np.uint16)),
        (1, True),
        (2, 0),
        (2, 32768),
        (3, -1),
        (3, 13),
    ],
)
def test_bad_skips(index: int, value: Any) -> None:
    model = random_frozen_model(np.random.default_rng(0), sharing="psug2")
    parts: dict[str, Any] = {"layer": dict(zip(NAMES, binding._layer(model.layers[0][0]), strict=True))}
    parts |= {"readout": None, "inputs": INPUTS, "state_bits": 16}
    good = (np.array([32768], np.uint16), False, 32767, 12)
    parts["layer"]["skip"] = good
    build(parts).step(z(B, 3 * H + 1), z(B, INPUTS))
    parts["layer"]["skip"] = with_item(good, index, value)
    with pytest.raises(ValueError, match=r"wrong type|out of range|above 32768"):
        build(parts)


# packed, levels, n_levels, rows, columns, bits
@pytest.mark.parametrize(
    ("index", "value"),
    [
        (0, z(14, dtype=np.uint8)),
        (0, b"12"),
        (1, z(3, dtype=np.int8)),
        (3, 16),
        (3, 0),
        (3, 2**31 - 1),
        (4, 5),
        (4, -1),
        (4, 2**31 - 1),
        (5, 3),
        (5, 8),
    ],
)
def test_bad_matrices(parts: dict[str, Any], index: int, value: Any) -> None:
    parts["layer"]["w_ih"] = with_item(parts["layer"]["w_ih"], index, value)
    with pytest.raises((ValueError, OverflowError), match=r"wrong type|bad number|fit|more bytes"):
        build(parts)


def test_bad_models(parts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="state_bits"):
        build(parts | {"state_bits": 17})
    with pytest.raises(ValueError, match="do not fit together"):
        build(parts | {"inputs": 4})
    with pytest.raises(ValueError, match="readout bias"):
        build(parts | {"readout": with_item(parts["readout"], 3, z(3, dtype=I32))})
    with pytest.raises(ValueError, match="readout mult"):
        build(parts | {"readout": with_item(parts["readout"], 1, z(7, dtype=I32))})
    with pytest.raises(TypeError, match="readout: expected a tuple"):
        build(parts | {"readout": 3})
    with pytest.raises(TypeError, match="layers: expected a tuple"):
        binding._import_native().Model(16, INPUTS, (3,), None)
    with pytest.raises(TypeError, match="no keyword"):
        binding._import_native().Model(state_bits=8)


FULL = np.full(B, T, I32)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((1, False, z(B, T, INPUTS), FULL, z(B, T, H), None), "no such layer"),
        ((-1, False, z(B, T, INPUTS), FULL, z(B, T, H), None), "no such layer"),
        ((0, False, z(B, T, INPUTS + 1), FULL, z(B, T, H), None), "x: "),
        ((0, False, z(B, INPUTS), FULL, z(B, T, H), None), "x: "),
        ((0, False, z(B, T, INPUTS, dtype=np.uint16), FULL, z(B, T, H), None), "x: "),
        ((0, False, z(B, T, INPUTS) + LOWEST, FULL, z(B, T, H), None), "code -32768 is outside"),
        ((0, False, z(B, T, INPUTS), FULL[:1], z(B, T, H), None), "lengths: "),
        ((0, False, z(B, T, INPUTS), FULL + 1, z(B, T, H), None), "outside 1 to T"),
        ((0, False, z(B, T, INPUTS), FULL * 0, z(B, T, H), None), "outside 1 to T"),
        ((0, False, z(B, T, INPUTS), FULL, z(B, T - 1, H), None), "h: "),
        ((0, False, z(B, T, INPUTS), FULL, z(B, T, H), z(B, T, H - 1)), "c: "),
        ((0, False, z(B, T, 2 * INPUTS)[..., ::2], FULL, z(B, T, H), None), "contiguous"),
    ],
)
def test_bad_runs(parts: dict[str, Any], args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(parts).run_layer(*args)


def test_bad_steps_and_logits(parts: dict[str, Any]) -> None:
    model = build(parts)
    with pytest.raises(ValueError, match="state: "):
        model.step(z(B, H), z(B, INPUTS))
    with pytest.raises(ValueError, match="x: "):
        model.step(z(B, 2 * H), z(B + 1, INPUTS))
    with pytest.raises(ValueError, match="outside"):
        model.step(z(B, 2 * H), z(B, INPUTS) + LOWEST)
    with pytest.raises(ValueError, match="out: "):
        model.logits(z(B, H), z(B, 3, dtype=I32))
    with pytest.raises(ValueError, match="outside"):
        model.logits(z(B, H) + LOWEST, z(B, 4, dtype=I32))
    with pytest.raises(TypeError, match="bytes-like"):
        model.step(None, None)
    read_only = z(B, 2 * H)
    read_only.setflags(write=False)
    with pytest.raises(ValueError, match="read-only"):
        model.step(read_only, z(B, INPUTS))
    with pytest.raises(ValueError, match="no readout"):
        build(parts | {"readout": None}).logits(z(B, H), z(B, 4, dtype=I32))


def test_a_model_keeps_its_arrays_alive(parts: dict[str, Any]) -> None:
    model = build(parts)
    before, after = z(1, 4, dtype=I32), z(1, 4, dtype=I32)
    model.logits(z(1, H) + 100, before)
    for key in ("layer", "readout"):
        del parts[key]
    _ = [np.full(64, 77, dtype=I32) for _ in range(200)]
    model.logits(z(1, H) + 100, after)
    np.testing.assert_array_equal(before, after)
