"""Gate maps by name and by hand."""

import re
from typing import Any

import pytest

from bitgate.cells import CELL_GATES, CellKind, resolve_sharing
from bitgate.errors import ArgumentError


@pytest.mark.parametrize(
    ("name", "cell", "expected"),
    [
        ("psug2", "lstm", (0, 0, 1, 0)),
        ("psug2", "coupled_lstm", (0, 1, 0)),
        ("psug2", "gru", (0, 0, 1)),
        ("psug2", "gated_rnn", (0, 1)),
        ("psug1", "lstm", (0, 0, 0, 0)),
        ("psug1", "gated_rnn", (0, 0)),
    ],
)
def test_names(name: str, cell: CellKind, expected: tuple[int, ...]) -> None:
    assert resolve_sharing(name, cell) == expected
    assert resolve_sharing(dict(zip(CELL_GATES[cell], expected, strict=True)), cell) == expected


@pytest.mark.parametrize("cell", CELL_GATES)
def test_none_shares_nothing(cell: CellKind) -> None:
    assert resolve_sharing("none", cell) is None


def test_a_map_may_stand_in_any_order() -> None:
    assert resolve_sharing({"o": 2, "g": 1, "f": 0, "i": 2}, "lstm") == (2, 0, 1, 2)


@pytest.mark.parametrize(
    ("sharing", "message"),
    [
        ("psug3", "sharing: 'psug3', expected one of psug2, psug1, none"),
        (None, "sharing: None, expected one of"),
        ({"i": 0, "f": 0, "g": 1}, "expected a projection for each of the gates i, f, g, o"),
        ({"i": 0, "f": 0, "g": 1, "o": 0, "z": 1}, "expected a projection for each of the gates i, f, g, o"),
        ({"i": 0, "f": 0, "g": 2, "o": 0}, "expected projections numbered from 0 without gaps"),
        ({"i": 1, "f": 1, "g": 2, "o": 1}, "expected projections numbered from 0 without gaps"),
        ({"i": 0, "f": 0, "g": 1.0, "o": 0}, "expected projections numbered from 0 without gaps"),
        ({"i": False, "f": 0, "g": True, "o": 0}, "expected projections numbered from 0 without gaps"),
    ],
)
def test_what_is_no_map_is_refused(sharing: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        resolve_sharing(sharing, "lstm")
