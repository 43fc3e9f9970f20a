"""All analyses of memory on one stack of layers, and the untrained cells that are set beside each other."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bitgate.errors import UnsupportedError
from bitgate.nn import GRU, LSTM, QLLSTM, RecurrentModule
from bitgate.research.memory import (
    StateRange,
    cosine_over_distance,
    forget_gates,
    forget_products,
    gradient_norms,
    state_range,
)


@dataclass(frozen=True)
class Memory:
    """How long one stack remembers; the gates, cosines and the range are those of its first layer.

    Attributes:
        name: for legends.
        distances: of ``products`` and ``cosines``.
        products: product of forget gates, mean over units.
        best_products: that of the unit that keeps most, at each distance.
        cosines: between hidden states.
        gradients: norm that reaches the step d before the end, d = 0, 1, ...
        range: of the states over a long sequence.
        warning: what the layer said of itself when it was made.
    """

    name: str
    distances: tuple[int, ...]
    products: tuple[float, ...]
    best_products: tuple[float, ...]
    cosines: tuple[float, ...]
    gradients: tuple[float, ...]
    range: StateRange
    warning: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        found = {k: _finite(v) for k, v in vars(self).items() if k != "range"}
        states = {k: _finite(v) for k, v in vars(self.range).items()}
        return found | {"range": states | {"is_finite": self.range.is_finite}}


def _finite(value: Any) -> Any:
    """None in place of numbers that JSON does not have."""
    return [x if math.isfinite(x) else None for x in value] if isinstance(value, tuple) else value


def spaced_distances(longest: int, count: int = 40) -> tuple[int, ...]:
    """Whole distances from 1 to ``longest``, about evenly spaced on a logarithmic axis."""
    steps = range(count)
    return tuple(sorted({round(math.exp(math.log(longest) * k / (count - 1))) for k in steps}))


def examine(
    name: str, layers: Sequence[RecurrentModule], x: Tensor, long: Tensor, *, steps: int = 1000, warning: str = ""
) -> Memory:
    """Runs all analyses.

    Args:
        name: for legends.
        layers: the stack, in ``eval()``, batch first.
        x: ``(B, T, I)`` of the first layer, T at least 2; with ``T > 2 steps`` no distance rests on few pairs.
        long: ``(B, T', I)`` for the range of the states.
        steps: largest distance, less where T is shorter.
        warning: kept in the result.

    Raises:
        UnsupportedError: a bidirectional layer: it has no distance to the end.
    """
    if any(layer.bidirectional for layer in layers):
        raise UnsupportedError(f"{name}: a bidirectional layer reads from both ends, so these analyses do not apply")
    distances = spaced_distances(min(steps, x.shape[1] - 1))
    gates, h = forget_gates(layers[0], x)
    products = forget_products(gates, distances)

    def last_state(data: Tensor) -> Tensor:
        for layer in layers:
            data = layer(data)[0]
        return data[:, -1]

    return Memory(
        name,
        distances,
        tuple(products.mean(dim=1).tolist()),
        tuple(products.amax(dim=1).tolist()),
        tuple(cosine_over_distance(h, distances).tolist()),
        tuple(gradient_norms(last_state, x[:, -distances[-1] - 1 :]).tolist()),
        state_range(layers[0], long),
        warning,
    )


UNTRAINED: dict[str, Callable[..., RecurrentModule]] = {
    "LSTM": LSTM,
    "LSTM, bias 3": lambda *sizes, **options: LSTM(*sizes, forget_bias=3.0, **options),
    "GRU": GRU,
    "QL-LSTM, block": QLLSTM,
    "QL-LSTM, block, bias 3": lambda *sizes, **options: QLLSTM(*sizes, forget_bias=3.0, **options),
    "QL-LSTM, no skip": lambda *sizes, **options: QLLSTM(*sizes, skip=None, **options),
    "QL-LSTM, step": lambda *sizes, **options: QLLSTM(*sizes, skip="step", **options),
    "QL-LSTM, step-raw, bias 3": lambda *sizes, **options: QLLSTM(
        *sizes, skip="step-raw", skip_scale=0.1, forget_bias=3.0, **options
    ),
}
"""Cells by name (bias: the forget gate's initial one); the last is the form that diverges, its alpha 0.1."""


def examine_untrained(
    input_size: int, hidden_size: int, *, steps: int = 1000, long_steps: int = 10_000, batch: int = 4, seed: int = 0
) -> list[Memory]:
    """All cells of ``UNTRAINED`` with their initial weights, on normal noise."""
    generator = torch.Generator().manual_seed(seed)
    long = torch.randn(batch, long_steps, input_size, generator=generator)
    found = []
    for name, make in UNTRAINED.items():
        torch.manual_seed(seed)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            layer = make(input_size, hidden_size, batch_first=True).eval()
        told = "; ".join(str(warning.message) for warning in caught)
        found.append(examine(name, [layer], long[:, : 2 * steps + 1], long, steps=steps, warning=told))
    return found
