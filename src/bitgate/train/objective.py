"""The training objective: variational free energy."""

import torch.nn.functional as F
from torch import Tensor, nn

from bitgate.errors import ArgumentError
from bitgate.nn import kl_divergence, mean_entropy_bits


def free_energy(
    logits: Tensor,
    labels: Tensor,
    model: nn.Module,
    *,
    n_examples: int,
    kl_weight: float = 0.0,
    prior: tuple[float, ...] | None = None,
    entropy_weight: float = 0.0,
) -> Tensor:
    """Loss per example: ``-log p(y | x, w) + kl_weight KL(q || prior) / n_examples - entropy_weight H(q)``.

    The first term, averaged over the batch, is a one-draw estimate of the expected negative log-likelihood; the
    papers' experiments use it alone ([DLSTM] section 1.2). ``H`` is the mean entropy of the categorical weights in
    bits, a bonus against their collapse, which the paper leaves open.

    Args:
        logits: ``(B, classes)`` of one draw.
        labels: ``(B,)``.
        model: whose weight distributions are meant.
        n_examples: size of the training set.
        kl_weight: weight of the complexity term; 1 is the variational bound.
        prior: probabilities of the levels, uniform where None.
        entropy_weight: nats of loss per bit of mean entropy.

    Raises:
        ArgumentError: a term is asked of a model that has no probabilistic weights.
    """
    loss = F.cross_entropy(logits, labels)
    if kl_weight:
        loss = loss + kl_weight * kl_divergence(model, prior) / n_examples
    if entropy_weight:
        entropy = mean_entropy_bits(model)
        if entropy is None:
            raise ArgumentError("entropy_weight: this model has no categorical weights; set it to 0")
        loss = loss - entropy_weight * entropy
    return loss


def distillation(logits: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """``temperature^2 KL(targets || softmax(logits / temperature))``, a mean over the batch.

    The factor keeps the size of the gradient, whatever the temperature (Hinton, Vinyals and Dean 2015, section 2).

    Args:
        logits: ``(B, classes)``.
        targets: ``(B, classes)`` probabilities, softened by the same temperature.
        temperature: 1 leaves predictions as they are, larger values flatten them.
    """
    predicted = F.log_softmax(logits / temperature, dim=-1)
    return temperature**2 * F.kl_div(predicted, targets, reduction="batchmean")
