"""Bias and variance of a gradient estimator against the exact gradient."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bitgate.research.estimators import Estimator
from bitgate.research.problem import TinyProblem

CHUNK = 4096
"""Draws at a time; bounds the memory."""


@dataclass(frozen=True)
class Measurement:
    """What N draws tell about an estimator with mean m and covariance C, for an exact gradient g."""

    n_draws: int
    exact_norm: float
    """``|g|``"""
    bias: float
    """``|m - g|``; noise alone makes it ``bias_noise``, in the root mean square, where the true bias is 0."""
    bias_noise: float
    """``sqrt(trace(C) / N)``, the standard error of ``m``."""
    p_value: float
    """Probability of a mean this far from g if the estimator is unbiased (see ``unbiased_p_value``)."""
    variance: float
    """``trace(C)``, of one draw."""
    cosine_of_mean: float
    """``cos(m, g)``"""
    mean_cosine: float
    """``E[cos(draw, g)]``; a draw of zero counts as 0."""


def measure(
    estimator: Estimator,
    problem: TinyProblem,
    logits: Tensor,
    exact: Tensor,
    n_draws: int,
    *,
    generator: torch.Generator,
) -> Measurement:
    """Draws ``n_draws`` gradients and compares them with ``exact`` ``(K, n_weights)``."""
    flat = exact.flatten()
    total = torch.zeros_like(flat)
    products = torch.zeros(len(flat), len(flat), dtype=flat.dtype)
    cosines = 0.0
    for size in _chunks(n_draws):
        draws = estimator(problem, logits, size, generator=generator).flatten(1)
        cosines += float(torch.cosine_similarity(draws, flat.unsqueeze(0), dim=1, eps=1e-300).sum())
        deviation = draws - flat  # from the exact gradient, so that the products lose no digits
        total += deviation.sum(dim=0)
        products += deviation.T @ deviation
    error = total / n_draws
    cov = (products - n_draws * torch.outer(error, error)) / (n_draws - 1)
    variance = float(cov.trace())
    return Measurement(
        n_draws=n_draws,
        exact_norm=float(flat.norm()),
        bias=float(error.norm()),
        bias_noise=(variance / n_draws) ** 0.5,
        p_value=unbiased_p_value(error, cov / n_draws, n_constraints=exact.shape[1]),
        variance=variance,
        cosine_of_mean=float(torch.cosine_similarity(error + flat, flat, dim=0)),
        mean_cosine=cosines / n_draws,
    )


def unbiased_p_value(error: Tensor, cov: Tensor, *, n_constraints: int) -> float:
    """P-value of Hotelling's test that the mean error is zero: ``error^T cov^-1 error`` is chi-squared for many draws.

    A gradient in logits sums to zero over the levels of each weight, so the covariance is singular: the first
    ``n_constraints`` components (those of level 0) follow from the others and are left out.

    Args:
        error: ``(K n_weights,)``, the mean of the draws minus the exact gradient.
        cov: covariance of that mean.
        n_constraints: number of weights.
    """
    error, cov = error[n_constraints:], cov[n_constraints:, n_constraints:]
    varies = cov.diagonal() > 0
    if bool((error[~varies].abs() > 1e-12).any()):
        return 0.0  # constant and wrong
    error, cov = error[varies], cov[varies][:, varies]
    std = cov.diagonal().sqrt()  # scaled to a correlation: weights that have settled vary far less than the others
    eigenvalues, eigenvectors = torch.linalg.eigh(cov / torch.outer(std, std))
    kept = eigenvalues > 1e-9
    z = (eigenvectors.T @ (error / std))[kept] / eigenvalues[kept].sqrt()
    half = torch.tensor(int(kept.sum()) / 2, dtype=z.dtype)
    return float(torch.special.gammaincc(half, z.square().sum() / 2))


def _chunks(n_draws: int) -> Iterator[int]:
    for start in range(0, n_draws, CHUNK):
        yield min(CHUNK, n_draws - start)
