"""One recurrent layer and direction of a torch module as a frozen layer."""

import math

import numpy as np
from numpy.typing import NDArray

from bitgate.errors import UnsupportedError
from bitgate.freezing.integers import Real, integer_matrix, multipliers, short_biases, to_array, to_int32
from bitgate.frozen import BlockSkip, FrozenLayer
from bitgate.frozen.bounds import MIN_OUTPUT_BITS
from bitgate.frozen.record import CELLS, MAX_BLOCK_SIZE, TANH_GATES
from bitgate.nn.recurrent import RecurrentModule

UNBOUNDED_RANGE_BITS = 3
"""Range 2**3 of hidden states where alpha is 1 and no data tell what they reach."""

SHORT_BIAS_BITS = 13
"""States of up to so many bits are no finer than Q12, and so may the biases be, of the cell whose fast steps use it."""


def check_module(module: RecurrentModule) -> None:
    """Raises ``UnsupportedError`` if ``module`` has a part without integer form."""
    skip = module.recurrence.skip
    if module.proj_size:
        raise UnsupportedError("freeze: proj_size has no integer form; train without a projection (proj_size=0)")
    if skip is None:
        return
    if skip.kind == "step":
        raise UnsupportedError(
            "freeze: a step skip has no integer form, because its hidden state adds up over many steps and would need "
            "more bits than its codes; train with skip='block' or skip=None"
        )
    if skip.block_size > MAX_BLOCK_SIZE:
        raise UnsupportedError(f"freeze: block_size={skip.block_size}, at most {MAX_BLOCK_SIZE} has an integer form")


def safe_range_bits(module: RecurrentModule, index: int) -> int | None:
    """The smallest k with ``2**k >= 1 / (1 - alpha)`` for layer ``index``; None where alpha is 1 and there is none."""
    found = 0
    for suffix in module._suffixes(index):
        alpha = module.alpha(suffix)
        highest = 0.0 if alpha is None else float(alpha.detach().max())
        if highest >= 1:
            return None
        found = max(found, math.ceil(math.log2(1 / (1 - highest)) - 1e-9))
    return found


def highest_range_bits(state_bits: int) -> int:
    """The largest k that ``state_bits`` allow."""
    return state_bits - MIN_OUTPUT_BITS


def freeze_layer(module: RecurrentModule, suffix: str, step: float, state_bits: int, range_bits: int) -> FrozenLayer:
    """One layer and direction.

    Args:
        module: without randomness.
        suffix: of the names of its parameters.
        step: real value of one unit of its input.
        state_bits: bits of inputs and hidden states.
        range_bits: its hidden states reach ``2**range_bits``.
    """
    recurrence, size = module.recurrence, module.hidden_size
    letters = CELLS[recurrence.cell]
    w_ih, unit_ih = integer_matrix(getattr(module, "weight_ih" + suffix))
    w_hh, unit_hh = integer_matrix(getattr(module, "weight_hh" + suffix))
    projections = recurrence.sharing or tuple(range(len(letters)))
    rows = (np.array(projections)[:, None] * size + np.arange(size)).reshape(-1)
    doubling = np.array([2.0 if letter in TANH_GATES else 1.0 for letter in letters])
    real_ih = _gate_factors(module, suffix, doubling, unit_ih, rows) * step * (1 << 15)
    real_hh = _gate_factors(module, suffix, doubling, unit_hh, rows) * 2.0 ** (range_bits + 1 - state_bits) * (1 << 15)
    bias, bias_hn = _integer_biases(module, suffix, np.repeat(doubling, size), state_bits)
    sums = w_ih.row_sums[rows], w_hh.row_sums[rows]
    mult_ih, mult_hh, shift, product_bits = multipliers(sums, (real_ih, real_hh), len(letters), state_bits)
    return FrozenLayer(
        cell=recurrence.cell,
        gate_levels=recurrence.gates,
        w_ih=w_ih,
        w_hh=w_hh,
        mult_ih=mult_ih,
        mult_hh=mult_hh,
        shift=shift,
        bias=bias,
        bias_hn=bias_hn,
        product_bits=product_bits,
        reverse=suffix.endswith("_reverse"),
        sharing=recurrence.sharing,
        skip=_freeze_skip(module, suffix, range_bits),
    )


def _gate_factors(module: RecurrentModule, suffix: str, doubling: Real, unit: Real, rows: NDArray[np.int64]) -> Real:
    """What multiplies the integer sums: by gate, or by row of the gates where scales or units are by row."""
    scale, gate_scale = module.scale(suffix), getattr(module, "gate_scale" + suffix, None)
    factors = doubling * (1.0 if scale is None else to_array(scale))
    if gate_scale is None and len(unit) == 1:
        return factors * unit
    factors = np.repeat(factors, module.hidden_size)
    if gate_scale is not None:
        factors = factors * to_array(gate_scale)
    return factors * (unit if len(unit) == 1 else unit[rows])


def _freeze_skip(module: RecurrentModule, suffix: str, range_bits: int) -> BlockSkip | None:
    skip, alpha = module.recurrence.skip, module.alpha(suffix)
    if skip is None or alpha is None:
        return None
    return BlockSkip(skip.block_size, to_int32(to_array(alpha).reshape(-1) * (1 << 15)), range_bits)


def _integer_biases(
    module: RecurrentModule, suffix: str, doubling: Real, state_bits: int
) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
    """Biases in Q15, those that act as a sum summed."""
    rows, size = len(doubling), module.hidden_size
    given = [to_array(getattr(module, name + suffix)) for name in module._bias_names()]
    total = sum(given, np.zeros(rows))
    if module.recurrence.cell == "coupled_lstm" and state_bits <= SHORT_BIAS_BITS:
        return short_biases(total * doubling), None
    if module.recurrence.cell != "gru":
        return to_int32(total * doubling * (1 << 15)), None
    # The reset gate multiplies the candidate's hidden bias, so that one stays apart.
    hidden = given[1][-size:] if given else np.zeros(size)
    total[-size:] -= hidden
    return to_int32(total * doubling * (1 << 15)), to_int32(hidden * doubling[-size:] * (1 << 15))
