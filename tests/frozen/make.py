"""Random frozen models that use the whole range of the arithmetic, for the tests of every engine."""

from collections.abc import Sequence

import numpy as np

from bitgate.frozen import BlockSkip, FrozenLayer, FrozenModel, InputMap, PackedMatrix, Readout
from bitgate.frozen.bounds import code_limit
from bitgate.frozen.record import BIAS_UNIT

CELL_GATES = {"lstm": 4, "coupled_lstm": 3, "gru": 3, "gated_rnn": 2}
PSUG2 = {"lstm": (0, 0, 1, 0), "coupled_lstm": (0, 1, 0), "gru": (0, 0, 1), "gated_rnn": (0, 1)}
PSUG1 = {cell: (0,) * gates for cell, gates in CELL_GATES.items()}
ODD = {"lstm": (2, 0, 1, 2), "coupled_lstm": (1, 0, 0), "gru": (1, 1, 0), "gated_rnn": (1, 0)}
SHARINGS = {"none": dict.fromkeys(CELL_GATES), "psug2": PSUG2, "psug1": PSUG1, "odd": ODD}
BINARY, TERNARY, FOUR, SIXTEEN = (-1, 1), (-1, 0, 1), (-3, -1, 1, 3), tuple(range(-8, 8))
EIGHT_BITS = tuple(range(-127, 128))

# Pre-activations reach about 2**PREACT_BITS in Q15, i.e. +-8: from the linear part into saturation.
PREACT_BITS = 18


def random_matrix(rng: np.random.Generator, rows: int, columns: int, levels: Sequence[int]) -> PackedMatrix:
    codes = rng.integers(0, len(levels), (rows, columns)).astype(np.uint8)
    codes[:, 0] = len(levels) - 1  # no row of zeros only, so that every row has a bound to scale by
    return PackedMatrix.from_codes(codes, np.array(levels, dtype=np.int8))


def _multipliers(
    rng: np.random.Generator, largest: int, total_bits: int, count: int
) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    highest = min((1 << (total_bits - 2)) // max(largest, 1), (1 << 31) - 1)
    signs = rng.choice([-1, 1, 1, 1], count)
    return (signs * rng.integers(max(1, highest // 2), max(2, highest), count)).astype(np.int32)


def random_layer(
    rng: np.random.Generator,
    input_size: int,
    hidden_size: int,
    *,
    cell: str = "lstm",
    state_bits: int = 16,
    product_bits: int = 32,
    levels: Sequence[int] = TERNARY,
    gate_levels: Sequence[int] | None = None,
    per_row: bool = False,
    reverse: bool = False,
    sharing: str = "none",
    skip: BlockSkip | None = None,
    short_biases: bool = False,
) -> FrozenLayer:
    """``short_biases``: in whole units of Q12, as freezing makes them where states are of few bits."""
    gates = CELL_GATES[cell]
    rows = gates * hidden_size
    projections = SHARINGS[sharing][cell]
    weight_rows = rows if projections is None else (max(projections) + 1) * hidden_size
    w_ih = random_matrix(rng, weight_rows, input_size, levels)
    w_hh = random_matrix(rng, weight_rows, hidden_size, levels)
    limit = code_limit(state_bits)
    total_bits = 31 if product_bits == 32 else 46
    count = rows if per_row else gates
    unit = BIAS_UNIT if short_biases else 1
    return FrozenLayer(
        cell=cell,
        gate_levels=tuple(gate_levels) if gate_levels is not None else (0,) * gates,
        w_ih=w_ih,
        w_hh=w_hh,
        mult_ih=_multipliers(rng, int(w_ih.row_sums.max()) * limit, total_bits, count),
        mult_hh=_multipliers(rng, int(w_hh.row_sums.max()) * limit, total_bits, count),
        shift=rng.integers(total_bits - PREACT_BITS - 1, total_bits - PREACT_BITS + 2, gates).astype(np.int32),
        bias=rng.integers(-(1 << 16), 1 << 16, rows).astype(np.int32) // unit * unit,
        bias_hn=rng.integers(-(1 << 16), 1 << 16, hidden_size).astype(np.int32) if cell == "gru" else None,
        product_bits=product_bits,
        reverse=reverse,
        sharing=projections,
        skip=skip,
    )


def random_skip(rng: np.random.Generator, units: int, block_size: int, range_bits: int = 1) -> BlockSkip:
    """For one value of alpha, 0 and 1 included, or one per unit."""
    alpha = rng.choice([0, 1, 9000, 16384, 32767, 32768], int(rng.choice([1, units])))
    return BlockSkip(block_size, alpha.astype(np.int32), range_bits)


def random_readout(
    rng: np.random.Generator, columns: int, classes: int, levels: Sequence[int], state_bits: int
) -> Readout:
    weight = random_matrix(rng, classes, columns, levels)
    highest = max(2, (1 << 29) // (int(weight.row_sums.max()) * code_limit(state_bits)))
    per_class = bool(rng.integers(2))
    return Readout(
        weight=weight,
        mult=rng.integers(1, highest, classes if per_class else 1).astype(np.int32),
        bias=rng.integers(-(1 << 14), 1 << 14, classes).astype(np.int32),
        scale=float(rng.uniform(1e-5, 1e-3)),
    )


def random_frozen_model(
    rng: np.random.Generator,
    *,
    input_size: int = 3,
    hidden_sizes: Sequence[int] = (5,),
    classes: int | None = 4,
    cell: str = "lstm",
    state_bits: int = 16,
    product_bits: int = 32,
    levels: Sequence[int] = TERNARY,
    gate_levels: Sequence[int] | None = None,
    per_row: bool = False,
    bidirectional: bool = False,
    class_names: Sequence[str] | None = None,
    sharing: str = "none",
    block_size: int | None = None,
    range_bits: int = 1,
    short_biases: bool = False,
) -> FrozenModel:
    """A random model; the arguments name every choice of docs/arithmetic.md. ``block_size``: that of its skips."""
    layers, size = [], input_size
    for hidden in hidden_sizes:
        layers.append(
            tuple(
                random_layer(
                    rng, size, hidden, cell=cell, state_bits=state_bits, product_bits=product_bits, levels=levels,
                    gate_levels=gate_levels, per_row=per_row, reverse=reverse, sharing=sharing,
                    short_biases=short_biases,
                    skip=None if block_size is None else random_skip(rng, hidden, block_size, range_bits),
                )
                for reverse in ([False, True] if bidirectional else [False])
            )
        )  # fmt: skip
        size = hidden * len(layers[-1])
    return FrozenModel(
        state_bits=state_bits,
        input_map=InputMap(
            mean=rng.normal(size=input_size).astype(np.float32),
            gain=(rng.uniform(0.3, 1.0, input_size) * code_limit(state_bits)).astype(np.float32),
        ),
        layers=tuple(layers),
        readout=None if classes is None else random_readout(rng, size, classes, levels, state_bits),
        metadata={} if class_names is None else {"class_names": list(class_names)},
    )


def random_sequences(rng: np.random.Generator, model: FrozenModel, batch: int, steps: int) -> np.ndarray:
    """Raw features, some beyond the range so that the clip is used."""
    return rng.normal(size=(batch, steps, model.input_size)).astype(np.float32) + model.input_map.mean
