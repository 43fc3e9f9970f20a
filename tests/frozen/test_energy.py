"""The estimate of energy against sums made by hand from the source's figures."""

import pytest

from bitgate.frozen.energy import FLOAT32_PJ, Energy, access_pj, estimate, float32_operations, step_bytes
from bitgate.frozen.operations import Operations
from tests.frozen.test_operations import model_of, tiny


def test_a_step_by_hand() -> None:
    # 10 x 0.1 + 2 x 3.1 pJ; 100 bytes are 13 words, and three look-ups, of 10 pJ each.
    found = estimate(Operations(10, 2, 3), 100)
    assert found == Energy(pytest.approx(7.2), pytest.approx(160.0))
    assert found.total_pj == pytest.approx(167.2)
    assert found.as_dict()["total_pj"] == found.total_pj
    assert estimate(Operations(10, 2), 0, FLOAT32_PJ).total_pj == pytest.approx(9 + 7.4)


@pytest.mark.parametrize(("size", "pj"), [(1, 10), (8192, 10), (8193, 20), (32768, 20), (32769, 100), (1 << 30, 100)])
def test_larger_memories_take_more(size: int, pj: float) -> None:
    assert access_pj(size) == pj


def test_constants_of_a_step() -> None:
    # Six rows of one byte, three biases and twice three multipliers of four bytes, three shifts.
    assert step_bytes(model_of(tiny((0, 0, 0)))) == 6 + 4 * (3 + 6) + 3


def test_float32_of_the_same_size() -> None:
    # Nine weights; biases, gates and state as in integers: 15 + 1 + 3 + 5 + 1 additions, 4 + 3 products.
    operations, constants = float32_operations(model_of(tiny((0, 2, 2))))
    assert operations == Operations(9 + 25, 9 + 7, 8)
    assert constants == 4 * (9 + 3)
