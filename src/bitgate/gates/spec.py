"""Which gates of a cell are discretized, and to how many levels."""

from collections.abc import Mapping

from bitgate.errors import ArgumentError

GateLevels = tuple[int, ...]
"""Level counts in the order of the cell's gates; 0 is a smooth gate."""

MAX_LEVELS = 256


def resolve_gates(gates: Mapping[str, int] | None, letters: str) -> GateLevels:
    """Level counts of every gate in the order of ``letters``.

    Args:
        gates: level count by gate letter, for instance ``{"o": 2, "g": 2}``; gates that are not named stay smooth.
        letters: the cell's gates, for instance "igo".

    Raises:
        ArgumentError: no mapping, an unknown gate, or a level count out of range.
    """
    if gates is not None and not isinstance(gates, Mapping):
        raise ArgumentError(f"gates: {gates!r}, expected a mapping of gate letters to level counts")
    named = dict(gates or {})
    unknown = [gate for gate in named if gate not in tuple(letters)]
    if unknown:
        hint = " (a coupled cell computes f as 1 - i)" if unknown == ["f"] and letters == "igo" else ""
        raise ArgumentError(f"gates: this cell has no gate {unknown[0]!r}{hint}; its gates are {', '.join(letters)}")
    for letter, levels in named.items():
        if isinstance(levels, bool) or not isinstance(levels, int) or not 2 <= levels <= MAX_LEVELS:
            raise ArgumentError(f"gates: {letter}={levels!r}, expected a level count from 2 to {MAX_LEVELS}")
    return tuple(named.get(letter, 0) for letter in letters)
