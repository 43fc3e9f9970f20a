"""Draws of several matrices at once, their scales multiplied in."""

from collections.abc import Sequence
from typing import cast

from torch import Tensor

from bitgate.ops.discrete import multiply_blocks
from bitgate.ops.rounding import round_together
from bitgate.ops.sampler import draw_together
from bitgate.weights.categorical import CategoricalWeights
from bitgate.weights.distribution import WeightDistribution
from bitgate.weights.quantized import QuantizedWeights


def sample_together(matrices: Sequence[WeightDistribution], log_scale: Tensor | None) -> list[Tensor]:
    """One draw of each matrix, times its scales; kinds that have an operator for it take one step for all of them.

    The same numbers as ``[matrix.sample() * scale for matrix in matrices]`` from the same seed.

    Args:
        matrices: any distributions.
        log_scale: ``(G,)``, logarithms of the scales of G equal blocks of rows of every matrix; None for 1.
    """
    # Derived classes may sample in their own way.
    if all(type(m) is CategoricalWeights for m in matrices):
        categorical = cast(Sequence[CategoricalWeights], matrices)
        draws = {(m.levels, m.temperature, m.straight_through) for m in categorical}
        if len(draws) == 1:
            return draw_together([m.logits for m in categorical], *draws.pop(), log_scale)
    if all(type(m) is QuantizedWeights and m.rule == "nearest" for m in matrices):
        quantized = cast(Sequence[QuantizedWeights], matrices)
        levels = {m.levels for m in quantized}
        if len(levels) == 1:
            return round_together([m.latent for m in quantized], levels.pop(), log_scale)
    scale = None if log_scale is None else log_scale.exp()
    return [multiply_blocks(m.sample(), scale) for m in matrices]
