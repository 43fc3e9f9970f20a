"""Estimators of ``d E_q[loss] / d logits``, one gradient per draw.

All have the signature of ``Estimator``; what else they take comes by keyword, with a default. The r-trick and the
lr-trick are those of the library's layers. REINFORCE and ARM are the unbiased estimators that [DLSTM] names for
comparison only (section 1.2).
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from bitgate.errors import ArgumentError, UnsupportedError
from bitgate.research.problem import TinyProblem
from bitgate.weights import Categorical, draw_weights


class Estimator(Protocol):
    """What every estimator is: independent draws of the gradient."""

    def __call__(self, problem: TinyProblem, logits: Tensor, n_samples: int, *, generator: torch.Generator) -> Tensor:
        """``(n_samples, K, n_weights)`` for logits ``(K, n_weights)``."""
        ...


def r_trick(
    problem: TinyProblem,
    logits: Tensor,
    n_samples: int,
    *,
    generator: torch.Generator,
    temperature: float = 1.0,
    straight_through: bool = True,
) -> Tensor:
    """Gumbel-Softmax weights, drawn once for all steps and sequences (``draw_weights`` states the pseudo-gradient).

    Biased: with ``straight_through`` because the backward pass is not the derivative of the forward pass, without
    because the network is not the discrete one. One network and one backward pass a draw.

    Source: [DLSTM] section 1.2; Jang et al. 2017; Maddison et al. 2017.
    """
    copies = _copies(logits, n_samples)
    noise = torch.empty_like(copies).exponential_(generator=generator)
    weights = draw_weights(copies, problem.levels, noise, temperature=temperature, straight_through=straight_through)
    return _gradients(problem.losses(weights), copies)


def lr_trick(problem: TinyProblem, logits: Tensor, n_samples: int, *, generator: torch.Generator) -> Tensor:
    """Gaussian pre-activations with the moments of the weights, drawn anew at every step.

    ``a = sum_j E[w_j] x_j + sqrt(sum_j Var[w_j] x_j^2) eps``. Biased: ``a`` is not Gaussian, and weights that all
    steps share are drawn apart. One network and one backward pass a draw.

    Source: [DLSTM] section 1.2; Kingma et al. 2015; Shayer et al. 2018.
    """
    copies = _copies(logits, n_samples)
    # One row of weights per draw; "meta" because the initial logits are thrown away.
    weights = Categorical(problem.levels, trick="lr").make(n_samples, problem.n_weights, 0.0, device="meta")
    weights.logits = nn.Parameter(copies)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        losses = problem.losses_by_moments(weights.mean(), weights.var())
    return _gradients(losses, weights.logits)


@torch.no_grad()
def reinforce(problem: TinyProblem, logits: Tensor, n_samples: int, *, generator: torch.Generator) -> Tensor:
    """Score function: ``loss(w) d log q(w) / d logits = loss(w) (onehot(w) - probs)``.

    Unbiased. One network a draw, no backward pass.

    Source: Williams 1992.
    """
    codes = draw_codes(logits, n_samples, generator=generator)
    return _network_losses(problem, codes).view(-1, 1, 1) * score(logits, codes)


@torch.no_grad()
def reinforce_leave_one_out(
    problem: TinyProblem, logits: Tensor, n_samples: int, *, generator: torch.Generator, n_networks: int = 2
) -> Tensor:
    """REINFORCE with the mean loss of a draw's other networks as baseline.

    ``1/M sum_m (loss_m - 1/(M-1) sum_{l != m} loss_l) (onehot_m - probs)``
    ``= 1/(M-1) sum_m (loss_m - mean loss) (onehot_m - probs)``. Unbiased, because the baseline of network m does not
    depend on it. ``n_networks`` M networks a draw, no backward pass.

    Source: Salimans and Knowles 2014; Kool et al. 2019.

    Raises:
        ArgumentError: fewer than two networks.
    """
    if n_networks < 2:
        raise ArgumentError(f"n_networks: {n_networks}, expected at least 2, one of them to leave out")
    codes = draw_codes(logits, n_samples * n_networks, generator=generator)
    losses = _network_losses(problem, codes).view(n_samples, n_networks)
    advantage = (losses - losses.mean(dim=1, keepdim=True)) / (n_networks - 1)
    scores = score(logits, codes).view(n_samples, n_networks, *logits.shape)
    return torch.einsum("sm,smkn->skn", advantage, scores)


@torch.no_grad()
def arm(problem: TinyProblem, logits: Tensor, n_samples: int, *, generator: torch.Generator) -> Tensor:
    """Augment-REINFORCE-merge, for binary weights: two networks from one uniform ``u`` a weight, antithetic.

    With ``phi = logits_1 - logits_0`` and codes 0 and 1,

        d E_q[loss] / d phi = E_u[ (loss(1[u > sigmoid(-phi)]) - loss(1[u < sigmoid(phi)])) (u - 1/2) ]

    and, by the chain rule, ``d / d logits_1 = d / d phi = -d / d logits_0``. Unbiased. Two networks a draw, no
    backward pass.

    Source: Yin and Zhou 2019, theorem 1.

    Raises:
        UnsupportedError: weights of more than two levels.
    """
    if len(logits) != 2:
        raise UnsupportedError(f"arm: {len(logits)} levels, expected 2 (more would need ARSM, Yin et al. 2019)")
    phi = logits[1] - logits[0]
    u = torch.rand(n_samples, problem.n_weights, dtype=logits.dtype, generator=generator)
    first = _network_losses(problem, (u > torch.sigmoid(-phi)).long())
    second = _network_losses(problem, (u < torch.sigmoid(phi)).long())
    gradient = (first - second).unsqueeze(1) * (u - 0.5)
    return torch.stack([-gradient, gradient], dim=1)


def draw_codes(logits: Tensor, n_samples: int, *, generator: torch.Generator) -> Tensor:
    """Exact draws from ``softmax(logits)`` by inversion: codes ``(n_samples, n_weights)``."""
    edges = torch.softmax(logits, dim=0).cumsum(dim=0)[:-1]
    u = torch.rand(n_samples, logits.shape[1], dtype=logits.dtype, generator=generator)
    return (u.unsqueeze(1) >= edges).sum(dim=1)


def score(logits: Tensor, codes: Tensor) -> Tensor:
    """``d log q(codes) / d logits = onehot(codes) - probs``: ``(S, n_weights)`` to ``(S, K, n_weights)``."""
    onehot = nn.functional.one_hot(codes, len(logits)).movedim(-1, 1)
    return onehot - torch.softmax(logits, dim=0)


def _network_losses(problem: TinyProblem, codes: Tensor) -> Tensor:
    return problem.losses(torch.tensor(problem.levels, dtype=torch.float64)[codes])


def _copies(logits: Tensor, n_samples: int) -> Tensor:
    """One leaf ``(K, n_samples, n_weights)``, so that one backward pass gives the gradient of every draw apart."""
    return logits.detach().unsqueeze(1).repeat(1, n_samples, 1).requires_grad_()


def _gradients(losses: Tensor, copies: Tensor) -> Tensor:
    return torch.autograd.grad(losses.sum(), copies)[0].movedim(0, 1)
