"""``gates=``: which gate has how many levels."""

from typing import Any

import pytest

from bitgate.errors import ArgumentError
from bitgate.gates import resolve_gates


def test_level_counts_follow_the_order_of_the_cell() -> None:
    assert resolve_gates({"o": 2, "g": 4}, "ifgo") == (0, 0, 4, 2)
    assert resolve_gates({"g": 4, "o": 2}, "igo") == (0, 4, 2)
    assert resolve_gates(None, "rzn") == resolve_gates({}, "rzn") == (0, 0, 0)
    assert resolve_gates({"i": 256}, "igo") == (256, 0, 0)


@pytest.mark.parametrize(
    ("gates", "letters", "message"),
    [
        ({"x": 2}, "ifgo", "gates: this cell has no gate 'x'; its gates are i, f, g, o"),
        ({"f": 2}, "igo", r"gates: this cell has no gate 'f' \(a coupled cell computes f as 1 - i\); .* i, g, o"),
        ({"f": 2}, "rzn", "gates: this cell has no gate 'f'; its gates are r, z, n"),
        ({1: 2, "x": 2}, "igo", "gates: this cell has no gate 1"),
        ({"o": 1}, "igo", "gates: o=1, expected a level count from 2 to 256"),
        ({"o": 257}, "igo", "gates: o=257, expected"),
        ({"o": 2.0}, "igo", r"gates: o=2\.0, expected"),
        ({"o": True}, "igo", "gates: o=True, expected"),
        ({"o": None}, "igo", "gates: o=None, expected"),
        ("o", "igo", "gates: 'o', expected a mapping"),
        (["o", "g"], "igo", r"gates: \['o', 'g'\], expected a mapping"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(gates: Any, letters: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        resolve_gates(gates, letters)
