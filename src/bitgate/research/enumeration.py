"""Expected loss and its gradient, exactly: a sum over all networks."""

import torch
from torch import Tensor

from bitgate.errors import ArgumentError
from bitgate.research.problem import TinyProblem

MAX_CONFIGURATIONS = 2**16


def all_codes(n_levels: int, n_weights: int) -> Tensor:
    """Every network as codes ``(n_levels ** n_weights, n_weights)``, the last weight changing fastest.

    Raises:
        ArgumentError: more than ``MAX_CONFIGURATIONS`` networks.
    """
    count = n_levels**n_weights
    if count > MAX_CONFIGURATIONS:
        raise ArgumentError(
            f"n_weights: {n_weights} weights of {n_levels} levels are {count} networks, "
            f"expected at most {MAX_CONFIGURATIONS}"
        )
    places = n_levels ** torch.arange(n_weights - 1, -1, -1)
    return torch.arange(count).unsqueeze(1) // places % n_levels


def log_probs_of(logits: Tensor, codes: Tensor) -> Tensor:
    """``log q(codes) = sum_n log_softmax(logits)[codes_n, n]``.

    Args:
        logits: ``(K, n_weights)``.
        codes: ``(S, n_weights)``.

    Returns:
        ``(S,)``.
    """
    return torch.log_softmax(logits, dim=0).gather(0, codes).sum(dim=1)


class Enumeration:
    """All networks of a problem and their losses, computed once."""

    def __init__(self, problem: TinyProblem) -> None:
        self.codes = all_codes(len(problem.levels), problem.n_weights)
        values = torch.tensor(problem.levels, dtype=torch.float64)
        with torch.no_grad():
            self.losses = problem.losses(values[self.codes])

    def expected_loss(self, logits: Tensor) -> Tensor:
        """``E_q[loss] = sum_codes q(codes) loss(codes)``, differentiable in ``logits`` ``(K, n_weights)``."""
        return log_probs_of(logits, self.codes).exp() @ self.losses

    def gradient(self, logits: Tensor) -> Tensor:
        """``d E_q[loss] / d logits``, shape ``(K, n_weights)``."""
        leaf = logits.detach().requires_grad_()
        return torch.autograd.grad(self.expected_loss(leaf), leaf)[0]
