"""Accuracy of a trained model: its mode, networks drawn from its posterior, and their ensemble."""

import copy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error, multiclass_confusion_matrix

from bitgate.data import Sequences
from bitgate.data.batches import fitting_size
from bitgate.errors import DataError
from bitgate.nn import Classifier, distributions, fix_weights
from bitgate.weights import CategoricalWeights, GaussianWeights

BATCH = 512


@dataclass(frozen=True)
class Evaluation:
    """Metrics of a model on labelled sequences, in fractions of 1.

    ``sample_accuracy`` is the mean accuracy of networks drawn from the posterior, ``map_accuracy`` that of the most
    probable weights ([DLSTM] section 1.2). The ensemble averages the predictive distributions of the drawn networks;
    its negative log-likelihood is in nats, its calibration error over 15 bins. For a model without posterior the
    ensemble is the one network, and the sample metric is None.
    """

    n_sequences: int
    map_accuracy: float
    sample_accuracy: float | None
    sample_std: float | None
    sample_accuracies: tuple[float, ...]
    ensemble_accuracy: float
    ensemble_nll: float
    ensemble_calibration_error: float
    confusion: tuple[tuple[int, ...], ...]  # of the MAP network; rows are true classes

    def as_dict(self) -> dict[str, Any]:
        """Plain dictionary, for JSON."""
        return asdict(self)


@torch.no_grad()
def predict_logits(model: Classifier, sequences: Sequences, *, batch_size: int = BATCH) -> Tensor:
    """Logits ``(N, classes)`` in the order of the sequences; short sequences run together to save padding."""
    order = np.argsort(sequences.length, kind="stable")
    device = next(model.parameters()).device
    batch_size = fitting_size(sequences.length, batch_size)
    parts = []
    for start in range(0, len(order), batch_size):
        x, lengths = sequences.padded(order[start : start + batch_size])
        parts.append(model(torch.from_numpy(x).to(device), torch.from_numpy(lengths)).float().cpu())
    logits = torch.cat(parts)
    return logits[torch.from_numpy(np.argsort(order, kind="stable"))]


def has_posterior(model: Classifier) -> bool:
    """Whether networks can be drawn from the model."""
    return any(isinstance(d, CategoricalWeights | GaussianWeights) for d in distributions(model))


def evaluate(model: Classifier, sequences: Sequences, *, draws: int = 5, seed: int = 0) -> Evaluation:
    """Evaluates a trained model.

    Args:
        model: with or without random weights; it is not changed.
        sequences: raw features and labels.
        draws: networks drawn from the posterior.
        seed: of the draws.

    Raises:
        DataError: the sequences have no labels.
    """
    if sequences.labels is None:
        raise DataError("evaluate: these sequences have no labels; use `bitgate run` for predictions alone")
    labels = torch.from_numpy(np.asarray(sequences.labels))
    generator = torch.Generator().manual_seed(seed)
    map_logits = predict_logits(fix_weights(model), sequences)
    networks = [map_logits]
    if has_posterior(model):
        cpu_model = copy.deepcopy(model).cpu()  # so that a seed draws the same networks on every device
        fixed = (fix_weights(cpu_model, "sample", generator=generator) for _ in range(draws))
        networks = [predict_logits(network, sequences) for network in fixed]
    accuracies = tuple(_accuracy(logits, labels) for logits in networks) if has_posterior(model) else ()
    probs = torch.stack([logits.softmax(dim=-1) for logits in networks]).mean(dim=0)
    n_classes = map_logits.shape[1]
    confusion = multiclass_confusion_matrix(map_logits.argmax(dim=-1), labels, num_classes=n_classes)
    return Evaluation(
        n_sequences=len(labels),
        map_accuracy=_accuracy(map_logits, labels),
        sample_accuracy=float(np.mean(accuracies)) if accuracies else None,
        sample_std=float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None,
        sample_accuracies=accuracies,
        ensemble_accuracy=_accuracy(probs, labels),
        ensemble_nll=float(-probs[torch.arange(len(labels)), labels].clamp_min(1e-12).log().mean()),
        ensemble_calibration_error=float(multiclass_calibration_error(probs, labels, num_classes=n_classes)),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
    )


def accuracy(predicted: NDArray[np.int64], sequences: Sequences) -> float:
    """Fraction of right predictions."""
    assert sequences.labels is not None
    return float(np.mean(predicted == sequences.labels))


def _accuracy(scores: Tensor, labels: Tensor) -> float:
    return float((scores.argmax(dim=-1) == labels).double().mean())
