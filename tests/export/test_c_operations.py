"""Operations of the kernels against counts made by hand for a layer of two inputs and one unit."""

import pytest

from bitgate.errors import UnsupportedError
from bitgate.export.c_fast import KERNELS
from bitgate.export.c_operations import kernel_operations
from bitgate.frozen.operations import Operations
from tests.frozen.test_operations import model_of, tiny

REST = Operations(25, 7, 8)
"""Gates and state, all smooth: the same for all kernels (tests/frozen/test_operations.py)."""


@pytest.mark.parametrize("kernels", KERNELS)
def test_every_kind_of_kernels_is_counted(kernels) -> None:
    assert kernel_operations(model_of(tiny((0, 0, 0))), kernels).additions > REST.additions


def test_dense_weights_are_divided_out() -> None:
    # Nine weights: two products and a subtraction for the rest of a division by 3, a look-up, product and sum.
    dense = model_of(tiny((0, 0, 0))).with_packing(dense=True)
    assert kernel_operations(dense) == Operations(9 * 2 + 6, 9 * 3 + 6, 9) + REST


def test_plain_kernels_pay_for_zeros() -> None:
    # Nine weights: code - 1, product, sum; three rows: two products, two additions.
    expected = Operations(9 * 2 + 6, 9 + 6) + REST
    assert kernel_operations(model_of(tiny((0, 0, 0)))) == expected


def test_kernels_multiply_by_step_gates() -> None:
    # Only the interpolations of g and o go.
    smooth, step = (kernel_operations(model_of(tiny(gates))) for gates in ((0, 0, 0), (0, 2, 2)))
    assert step + Operations(8, 2, 4) == smooth


JOINED = Operations(24, 6, 8)
"""The same in the fast kernels, which update c by one product and an addition less."""


def test_table_kernels() -> None:
    # Both matrices: a table of one group, then for 3 gates of 4 rows a look-up and an addition; the narrower one scales
    # 12 sums and joins them.
    expected = Operations(2 * (68 + 12) + 2 * 12, 2 * 1 + 2 * 12, 2 * 12) + JOINED
    assert kernel_operations(model_of(tiny((0, 0, 0))), "table") == expected


def test_lane_kernels() -> None:
    # Both matrices: 12 rows by 8 inputs, two products each; the inputs' sum; 12 multipliers, 6 pairs of lanes.
    expected = Operations(2 * (48 + 8 + 12 + 6), 2 * (48 + 12)) + JOINED
    assert kernel_operations(model_of(tiny((0, 0, 0))), "lanes") == expected


def test_kernels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="states of 16 bits"):
        kernel_operations(model_of(tiny((0, 0, 0)), 16), "lanes")
