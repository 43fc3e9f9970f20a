"""The layer that is measured: random ternary weights, as many inputs as units."""

import numpy as np

from bitgate.frozen import FrozenLayer, FrozenModel, InputMap, PackedMatrix
from bitgate.frozen.bounds import code_limit


def ternary_lstm(size: int, state_bits: int = 8, seed: int = 0) -> FrozenModel:
    """An LSTM of ``size`` units and inputs with smooth gates and no readout; a step costs the same whatever it says."""
    rng = np.random.default_rng(seed)
    w_ih, w_hh = (_matrix(rng, 4 * size, size) for _ in range(2))
    limit = code_limit(state_bits)
    largest = int(max(w_ih.row_sums.max(), w_hh.row_sums.max())) * limit
    product_bits = 32 if largest < 1 << 19 else 64
    mult = np.full(4, (1 << (product_bits - 3 if product_bits == 32 else 45)) // largest, np.int32)
    # Pre-activations of a few units: 18 bits of Q15.
    shift = np.full(4, (product_bits - 3 if product_bits == 32 else 45) - 18, np.int32)
    bias = rng.integers(-(1 << 15), 1 << 15, 4 * size).astype(np.int32)
    layer = FrozenLayer("lstm", (0,) * 4, w_ih, w_hh, mult, mult.copy(), shift, bias, None, product_bits)
    gain = np.full(size, limit / 4, np.float32)
    return FrozenModel(state_bits, InputMap(np.zeros(size, np.float32), gain), ((layer,),), None)


def _matrix(rng: np.random.Generator, rows: int, columns: int) -> PackedMatrix:
    return PackedMatrix.from_codes(rng.integers(0, 3, (rows, columns)).astype(np.uint8), np.array([-1, 0, 1], np.int8))
