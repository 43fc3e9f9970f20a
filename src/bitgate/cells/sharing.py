"""Gate maps: which shared projection of ``[x; h]`` feeds which gate ([QL] PSUG; the definition is ours).

With P projections ``u_p = W_p [x; h]`` every gate has the pre-activation ``gate_scale_g * u_map(g) + bias_g``.
"""

from collections.abc import Mapping

from bitgate.cells.kinds import CELL_GATES, CellKind
from bitgate.errors import ArgumentError
from bitgate.gates.activation import TANH_GATES

Sharing = str | Mapping[str, int]

SHARING_NAMES = ("psug2", "psug1", "none")


def resolve_sharing(sharing: Sharing, cell: CellKind) -> tuple[int, ...] | None:
    """The projection of each gate in the order of the cell's gates; None where every gate has its own.

    Args:
        sharing: "psug2" (one projection for the sigmoid gates, one for the candidate), "psug1" (one for all),
            "none", or a mapping of every gate letter to the number of its projection.
        cell: the cell.

    Raises:
        ArgumentError: an unknown name, or a mapping that misses a gate or numbers projections with gaps.
    """
    letters = CELL_GATES[cell]
    if isinstance(sharing, Mapping):
        return _check_map(dict(sharing), letters)
    if sharing not in SHARING_NAMES:
        raise ArgumentError(f"sharing: {sharing!r}, expected one of {', '.join(SHARING_NAMES)}, or a mapping of gates")
    if sharing == "none":
        return None
    return tuple(int(sharing == "psug2" and letter in TANH_GATES) for letter in letters)


def _check_map(found: dict[str, int], letters: str) -> tuple[int, ...]:
    if sorted(found) != sorted(letters):
        raise ArgumentError(f"sharing: {found!r}, expected a projection for each of the gates {', '.join(letters)}")
    numbers = list(found.values())
    is_whole = all(isinstance(n, int) and not isinstance(n, bool) for n in numbers)
    if not is_whole or sorted(set(numbers)) != list(range(len(set(numbers)))):
        raise ArgumentError(f"sharing: {found!r}, expected projections numbered from 0 without gaps")
    return tuple(found[letter] for letter in letters)
