"""An estimate of the energy of a step's arithmetic: operations and memory accesses of a 45 nm process, not a board.

Source: M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, figure 1.1.9: 45 nm, 0.9 V.
"""

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from bitgate.frozen.operations import Operations, gates_and_state

if TYPE_CHECKING:
    from bitgate.frozen.model import FrozenModel

SOURCE = "Horowitz, ISSCC 2014, figure 1.1.9 (45 nm, 0.9 V)"
ASSUMPTIONS = (
    "32-bit additions and multiplications; every constant is read once a step in words of 64 bits from the smallest "
    "memory of the source that holds all constants; a look-up is one access to 8 KiB. Left out: instructions, "
    "registers, states, leakage, everything outside the core. An estimate of arithmetic, not of a board."
)

INT32_PJ = (0.1, 3.1)
"""Addition and multiplication of 32-bit integers."""

FLOAT32_PJ = (0.9, 3.7)
"""Addition and multiplication in float32."""

ACCESS_PJ = ((8 << 10, 10.0), (32 << 10, 20.0), (1 << 20, 100.0))
"""Bytes of a memory, and what reading 64 bits of it takes; larger constants are counted as read from the largest."""

_WORD_BYTES = 8


@dataclass(frozen=True)
class Energy:
    """Of one time step of all recurrent layers."""

    arithmetic_pj: float
    memory_pj: float

    @property
    def total_pj(self) -> float:
        """Both."""
        return self.arithmetic_pj + self.memory_pj

    def as_dict(self) -> dict[str, float]:
        """Plain dictionary, for JSON."""
        return {**asdict(self), "total_pj": self.total_pj}


def access_pj(memory_bytes: int) -> float:
    """Energy of reading 64 bits from a memory of at least so many bytes."""
    return next((energy for size, energy in ACCESS_PJ if memory_bytes <= size), ACCESS_PJ[-1][1])


def estimate(operations: Operations, constant_bytes: int, pj: tuple[float, float] = INT32_PJ) -> Energy:
    """Energy of one step.

    Args:
        operations: of the step.
        constant_bytes: what is read once: weights, biases, multipliers.
        pj: energy of an addition and of a multiplication.
    """
    words = -(-constant_bytes // _WORD_BYTES)
    memory = words * access_pj(constant_bytes) + operations.lookups * ACCESS_PJ[0][1]
    return Energy(operations.additions * pj[0] + operations.multiplications * pj[1], memory)


def step_bytes(model: "FrozenModel") -> int:
    """Bytes of constants that a step of the recurrent layers reads: packed weights, biases, multipliers, shifts."""
    total = 0
    for layer in model.flat_layers:
        total += layer.w_ih.packed.nbytes + layer.w_hh.packed.nbytes + layer.bias.nbytes + layer.shift.size
        total += layer.mult_ih.nbytes + layer.mult_hh.nbytes + (0 if layer.bias_hn is None else layer.bias_hn.nbytes)
        total += 0 if layer.skip is None else 2 * layer.skip.alpha.size
    return total


def float32_operations(model: "FrozenModel") -> tuple[Operations, int]:
    """The same cells with float32 weights and smooth gates: operations of a step, and bytes of its constants.

    A multiplication and an addition per weight, no multipliers but the gate scales of shared projections; gates and
    states by the same formulas and table.
    """
    total, constants = Operations(), 0
    for layer in model.flat_layers:
        weights = layer.w_ih.values.size + layer.w_hh.values.size
        smooth = replace(layer, gate_levels=(0,) * len(layer.gates))
        total += Operations(weights, weights) + gates_and_state(smooth, model.state_bits, ())
        scales = layer.bias.size if layer.is_shared else 0
        total += Operations(multiplications=scales)
        constants += 4 * (weights + scales + layer.bias.size + (0 if layer.bias_hn is None else layer.bias_hn.size))
    return total, constants
