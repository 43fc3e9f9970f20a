"""What a weight is: continuous, Gaussian, quantized (QAT) or categorical over a few levels."""

from bitgate.errors import ArgumentError
from bitgate.weights.categorical import Categorical, CategoricalWeights
from bitgate.weights.continuous import Continuous
from bitgate.weights.distribution import Trick, WeightDistribution, Weights
from bitgate.weights.fixed import FixedWeights
from bitgate.weights.gaussian import Gaussian, GaussianWeights
from bitgate.weights.gumbel import draw_weights
from bitgate.weights.levels import BINARY, TERNARY, Levels, uniform_levels
from bitgate.weights.quantized import Quantized, QuantizedWeights
from bitgate.weights.together import sample_together

__all__ = [
    "BINARY",
    "TERNARY",
    "Categorical",
    "CategoricalWeights",
    "Continuous",
    "FixedWeights",
    "Gaussian",
    "GaussianWeights",
    "Levels",
    "Quantized",
    "QuantizedWeights",
    "Trick",
    "WeightDistribution",
    "Weights",
    "draw_weights",
    "resolve_weights",
    "sample_together",
    "uniform_levels",
]

_NAMES: dict[str, Weights] = {
    "continuous": Continuous(),
    "ternary": Categorical(TERNARY),
    "binary": Categorical(BINARY),
}


def resolve_weights(weights: str | Weights) -> Weights:
    """The description that ``weights=`` means; a string of discrete weights means Categorical with the r-trick.

    Raises:
        ArgumentError: an unknown name, or an object that describes no weights.
    """
    if isinstance(weights, Weights):
        return weights
    if isinstance(weights, str) and weights in _NAMES:
        return _NAMES[weights]
    raise ArgumentError(f"weights: {weights!r}, expected one of {sorted(_NAMES)} or an object of bitgate.weights")
