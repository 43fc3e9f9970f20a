"""Operations of the kernels against counts made by hand for a layer of two inputs and one unit."""

import pytest

from bitgate.errors import UnsupportedError
from bitgate.export.c_fast import KERNELS
from bitgate.export.c_operations import _SUMS, kernel_operations
from bitgate.frozen.operations import Operations
from tests.frozen.test_operations import model_of, tiny

REST = Operations(25, 7, 8)
"""Gates and state, all smooth: the same for all kernels (tests/frozen/test_operations.py)."""


def test_every_kind_of_kernels_is_counted() -> None:
    assert set(_SUMS) == set(KERNELS)


def test_plain_kernels_pay_for_zeros() -> None:
    # Nine weights: code - 1, product, sum; three rows: two products, two additions.
    expected = Operations(9 * 2 + 6, 9 + 6) + REST
    assert kernel_operations(model_of(tiny((0, 0, 0)))) == expected


def test_kernels_multiply_by_step_gates() -> None:
    # Only the interpolations of g and o go.
    smooth, step = (kernel_operations(model_of(tiny(gates))) for gates in ((0, 0, 0), (0, 2, 2)))
    assert step + Operations(8, 2, 4) == smooth


def test_table_kernels() -> None:
    # Both matrices: a table of one group, then for 3 gates of 4 rows a look-up and an addition, a product and another.
    expected = Operations(2 * (73 + 12 + 12), 2 * 12, 2 * 12) + REST
    assert kernel_operations(model_of(tiny((0, 0, 0))), "table") == expected


def test_lane_kernels() -> None:
    # Both matrices: 12 rows by 8 inputs, two products each; the inputs' sum; 12 multipliers, 6 pairs of lanes.
    expected = Operations(2 * (48 + 12 + 6) + 3, 2 * (48 + 12)) + REST
    assert kernel_operations(model_of(tiny((0, 0, 0))), "lanes") == expected


def test_kernels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="states of 16 bits"):
        kernel_operations(model_of(tiny((0, 0, 0)), 16), "lanes")
