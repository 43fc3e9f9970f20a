"""Whole models of random weights: fixing a draw, walking the distributions, setting the temperature."""

import copy
import math
from collections.abc import Iterator
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from bitgate.errors import ArgumentError
from bitgate.weights import CategoricalWeights, FixedWeights, QuantizedWeights, WeightDistribution
from bitgate.weights.distribution import Trick

M = TypeVar("M", bound=nn.Module)
Mode = Literal["map", "sample"]


def distributions(model: nn.Module) -> Iterator[WeightDistribution]:
    """All weight distributions of a model."""
    return (module for module in model.modules() if isinstance(module, WeightDistribution))


@torch.no_grad()
def fix_weights(model: M, mode: Mode = "map", *, generator: torch.Generator | None = None) -> M:
    """A copy of the model in ``eval()`` whose random weights are one network: the mode, or one draw.

    Args:
        model: any module; it is not changed.
        mode: "map" for the most probable weights, "sample" for a draw from the posterior.
        generator: source of randomness for "sample".
    """
    if mode not in ("map", "sample"):
        raise ArgumentError(f"mode: {mode!r}, expected 'map' or 'sample'")
    fixed = copy.deepcopy(model).eval()
    for module in list(fixed.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, WeightDistribution):
                exact = not isinstance(child, CategoricalWeights) or child.straight_through
                if not exact:
                    child.straight_through = True  # type: ignore[assignment]  # a network has exact levels
                value = child.mode() if mode == "map" else child.sample(generator=generator)
                setattr(module, name, FixedWeights(value, child.levels))
    return fixed


def kl_divergence(model: nn.Module, prior: tuple[float, ...] | None = None) -> Tensor:
    """Sum of ``kl(prior)`` over the categorical and Gaussian weights of a model, in nats (a scalar)."""
    terms = []
    for distribution in distributions(model):
        if isinstance(distribution, CategoricalWeights):
            terms.append(distribution.kl(prior))
        elif distribution.levels is None and not isinstance(distribution, FixedWeights):
            terms.append(distribution.kl())
    if not terms:
        raise ArgumentError("kl: this model has no probabilistic weights; set the weight of the KL term to 0")
    return torch.stack(terms).sum()


def mean_entropy_bits(model: nn.Module) -> Tensor | None:
    """Mean entropy of the categorical weights in bits ([DLSTM] Fig. 3); None if there are none."""
    entropies = [d.entropy_bits().flatten() for d in distributions(model) if isinstance(d, CategoricalWeights)]
    return torch.cat(entropies).mean() if entropies else None


def set_trick(model: nn.Module, trick: Trick) -> None:
    """Sets how the random weights are trained from now on: "r" or "lr"."""
    for distribution in distributions(model):
        distribution.trick = trick


def set_temperature(model: nn.Module, temperature: float) -> None:
    """Sets the temperature of every categorical weight's relaxation."""
    if not 0 < temperature < math.inf:
        raise ArgumentError(f"temperature: {temperature}, expected a positive number")
    for distribution in distributions(model):
        if isinstance(distribution, CategoricalWeights):
            distribution.temperature = temperature


def clip_latents(model: nn.Module) -> None:
    """Puts the latent weights of quantization-aware training back into the range of their levels.

    To be called behind every step of the optimizer, as ``bitgate fit`` does: outside the range a latent weight gets no
    gradient, so what an optimizer's momentum takes there would stay for good (BinaryConnect: Courbariaux et al. 2015,
    section 2.4). The quantized weights do not change under the rule "nearest". Models without latents are left alone.
    """
    for distribution in distributions(model):
        if isinstance(distribution, QuantizedWeights):
            distribution.clip_()
