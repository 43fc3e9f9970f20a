"""Packed codes: round trips, golden vectors, refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitgate.errors import FormatError, ShapeError
from bitgate.frozen import PackedMatrix, packing

GOLDEN = Path(__file__).parents[1] / "golden" / "packing.json"


@given(st.data(), st.sampled_from(packing.CODE_BITS), st.integers(1, 6), st.integers(1, 37))
def test_round_trip(data: st.DataObject, bits: int, rows: int, columns: int) -> None:
    seed = data.draw(st.integers(0, 2**32 - 1))
    codes = np.random.default_rng(seed).integers(0, 1 << bits, (rows, columns)).astype(np.uint8)
    packed = packing.pack(codes, bits)
    assert packed.shape == (rows, packing.row_bytes(columns, bits))
    np.testing.assert_array_equal(packing.unpack(packed, columns, bits), codes)


@given(st.sampled_from(packing.CODE_BITS), st.integers(1, 37), st.integers(0, 36))
def test_place_of_one_code(bits: int, columns: int, column: int) -> None:
    column %= columns
    codes = np.zeros((1, columns), dtype=np.uint8)
    codes[0, column] = (1 << bits) - 1
    stream = int.from_bytes(packing.pack(codes, bits).tobytes(), "little")
    assert stream == ((1 << bits) - 1) << (column * bits)


def test_golden_vectors() -> None:
    cases = json.loads(GOLDEN.read_text())
    assert len(cases) == 17
    for case in cases:
        codes = np.array(case["codes"], dtype=np.uint8)
        packed = packing.pack_dense(codes) if case["bits"] == "dense" else packing.pack(codes, case["bits"])
        assert [row.tobytes().hex() for row in packed] == case["packed"]


@pytest.mark.parametrize(("n", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 4), (16, 4), (17, 8), (256, 8)])
def test_fewest_bits(n: int, bits: int) -> None:
    assert packing.bits_for(n) == bits


def test_refusals() -> None:
    with pytest.raises(ShapeError, match="largest code is 4, which 2 bits"):
        packing.pack(np.array([[4]], dtype=np.uint8), 2)
    with pytest.raises(ShapeError, match="expected a matrix"):
        packing.pack(np.zeros(3, dtype=np.uint8), 2)
    with pytest.raises(FormatError, match="spare bits"):
        packing.unpack(np.array([[0x40]], dtype=np.uint8), 3, 2)
    with pytest.raises(FormatError, match="rows of 2 bytes expected"):
        packing.unpack(np.zeros((1, 1), dtype=np.uint8), 5, 2)
    with pytest.raises(FormatError, match="cannot hold"):
        packing.unpack(np.zeros((1, 1), dtype=np.uint8), 2, 3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 37))
def test_dense_round_trip(seed: int, rows: int, columns: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 3, (rows, columns)).astype(np.uint8)
    packed = packing.pack_dense(codes)
    assert packed.shape == (rows, -(-columns // 5))
    assert packed.max() < 243
    np.testing.assert_array_equal(packing.unpack_dense(packed, columns), codes)


def test_dense_refusals() -> None:
    with pytest.raises(ShapeError, match="largest code is 3"):
        packing.pack_dense(np.array([[3]], dtype=np.uint8))
    with pytest.raises(ShapeError, match="expected a matrix"):
        packing.pack_dense(np.zeros(3, dtype=np.uint8))
    for byte in (243, 255):
        with pytest.raises(FormatError, match=f"byte {byte}, expected less than 243"):
            packing.unpack_dense(np.array([[byte]], dtype=np.uint8), 5)
    with pytest.raises(FormatError, match="spare digits"):
        packing.unpack_dense(np.array([[81]], dtype=np.uint8), 4)
    with pytest.raises(FormatError, match="rows of 2 bytes expected"):
        packing.unpack_dense(np.zeros((1, 1), dtype=np.uint8), 6)


def test_dense_is_for_three_levels() -> None:
    codes = np.array([[0, 2, 1]], dtype=np.uint8)
    ternary = PackedMatrix.from_codes(codes, np.array([-1, 0, 1], dtype=np.int8)).with_packing(dense=True)
    assert (ternary.is_dense, ternary.packed.tolist()) == (True, [[15]])
    np.testing.assert_array_equal(ternary.with_packing(dense=False).packed, packing.pack(codes, 2))
    four = PackedMatrix.from_codes(codes, np.array([-3, -1, 1, 3], dtype=np.int8)).with_packing(dense=True)
    assert not four.is_dense
    with pytest.raises(ShapeError, match="expected 3 levels"):
        PackedMatrix(np.zeros((1, 1), dtype=np.uint8), 3, 2, four.levels, is_dense=True)
