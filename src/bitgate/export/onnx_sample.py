"""Random sequences on which an exported ONNX model must agree with the frozen model, and what that computes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitgate.errors import UnsupportedError
from bitgate.export.onnx_real import real_readout, run_real
from bitgate.frozen import FrozenModel
from bitgate.frozen.bounds import code_limit

Arrays = dict[str, NDArray[Any]]

SEQUENCES = 8
STEPS = 12

FLOAT_TOLERANCE = 1e-4
"""Of hidden states, whose range is 1, in the float form: dozens of roundings of 6e-8, amplified by the loop."""

MARGIN = 2e-5
"""A float program this near a gate's threshold may take either side: the float form is not compared there."""

_DRAWS = 50


@dataclass(frozen=True)
class Sample:
    """Sequences and results; ``tolerance`` by name, where a result need not be equal."""

    x: NDArray[np.float32]  # (B, T, I), NaN behind the ends: nothing may depend on it
    lengths: NDArray[np.int64]
    hidden: Arrays  # by name: (T, B, H)
    outputs: Arrays
    tolerance: dict[str, float]


def layer_names(frozen: FrozenModel) -> list[str]:
    """Names of the layers and directions in the graph, in the order of ``flat_layers``."""
    return [
        f"layer{index}.{'reverse' if layer.reverse else 'forward'}"
        for index, directions in enumerate(frozen.layers)
        for layer in directions
    ]


def integer_sample(frozen: FrozenModel) -> Sample:
    """Sequences, and the integers of the interpreter."""
    x, lengths = _draw(frozen, np.random.default_rng(0))
    trace = frozen.trace(x, lengths)
    hidden = _hidden(frozen, trace.h, np.float64)
    if trace.logits is None:
        outputs: Arrays = {"hidden": frozen.run(x, lengths)}
    else:
        outputs = {"logits": trace.logits, "class": trace.logits.argmax(axis=-1)}
    return Sample(_with_nan(x, lengths), lengths, hidden, outputs, {})


def float_sample(frozen: FrozenModel) -> Sample:
    """Sequences, and the states and logits of a run in float64.

    Raises:
        UnsupportedError: no sequences were found whose pre-activations keep clear of the gates' thresholds.
    """
    rng = np.random.default_rng(0)
    kept: list[NDArray[np.float32]] = []
    for _ in range(_DRAWS):
        x, lengths = _draw(frozen, rng)
        margin = run_real(frozen, x, lengths).margin
        kept += [x[b, : lengths[b]] for b in np.flatnonzero(margin > MARGIN)]
        if len(kept) >= SEQUENCES:
            break
    else:
        raise UnsupportedError(
            "form: 'float' cannot be checked, because random sequences keep meeting thresholds of the discretized "
            "gates, where float programs differ; use form='integer'"
        )
    kept = kept[:SEQUENCES]
    lengths = np.array([len(sequence) for sequence in kept])
    x = np.zeros((len(kept), lengths.max(), frozen.input_size), dtype=np.float32)
    for b, sequence in enumerate(kept):
        x[b, : len(sequence)] = sequence
    trace = run_real(frozen, x, lengths)
    hidden = _hidden(frozen, trace.h, np.float32)
    tolerance = dict.fromkeys([*hidden, "hidden"], FLOAT_TOLERANCE)
    if trace.logits is None or frozen.readout is None:
        last = np.concatenate(trace.h[-len(frozen.layers[-1]) :], axis=-1) * 2.0 ** frozen.layers[-1][0].range_bits
        outputs: Arrays = {"hidden": last.astype(np.float32)}
        tolerance["hidden"] *= 2.0 ** frozen.layers[-1][0].range_bits
    else:
        outputs = {"logits": trace.logits.astype(np.float32)}
        weights, bias = real_readout(frozen.readout, frozen.state_bits)
        tolerance["logits"] = FLOAT_TOLERANCE * float(np.abs(weights).sum(axis=1).max() + np.abs(bias).max())
    return Sample(_with_nan(x, lengths), lengths, hidden, outputs, tolerance)


def _draw(frozen: FrozenModel, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Raw features ``(B, T, I)``, a few beyond the range of the input codes, and lengths: all, one, and any."""
    size = (SEQUENCES, STEPS, frozen.input_size)
    codes = rng.normal(0, code_limit(frozen.state_bits) / 3, size)
    gain = frozen.input_map.gain.astype(np.float64)
    x = frozen.input_map.mean + codes / np.where(gain == 0, np.inf, gain)
    lengths = rng.integers(1, STEPS + 1, SEQUENCES)
    lengths[:2] = STEPS, 1
    return x.astype(np.float32), lengths


def _with_nan(x: NDArray[np.float32], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.where((np.arange(x.shape[1]) < lengths[:, None])[..., None], x, np.float32(np.nan))


def _hidden(frozen: FrozenModel, h: tuple[NDArray[Any], ...], dtype: type) -> Arrays:
    """States by name, ``(B, T, H)`` to ``(T, B, H)``."""
    return {f"{name}.h": array.swapaxes(0, 1).astype(dtype) for name, array in zip(layer_names(frozen), h, strict=True)}
