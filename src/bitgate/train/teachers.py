"""Teachers: continuous networks whose mean prediction a discrete network learns from (distillation)."""

import dataclasses

import torch
from torch import Tensor

from bitgate.data import Dataset
from bitgate.train.config import FitConfig
from bitgate.train.evaluate import predict_logits
from bitgate.train.run import Run, build_model, load_weights

_SEEDS_PER_RUN = 1000  # apart from the seeds that a user counts up from 0


def teacher_configs(config: FitConfig, run: Run) -> list[FitConfig]:
    """Training runs of a run's teachers: ``RUN/teacher-K``, alike but for continuous weights and seeds of their own."""
    alike = dataclasses.replace(
        config,
        runs_dir=str(run.path),
        weights="continuous",
        gates={},
        kl_weight=0.0,
        entropy_weight=0.0,
        prior=None,
        pretrain_epochs=0,
        init_from=None,
        teachers=0,
        learning_rate=None,
        learning_rate_schedule="cosine",
        epochs=config.teacher_epochs,
        validate_every=min(config.validate_every, config.teacher_epochs),
    )
    first = _SEEDS_PER_RUN * (config.seed + 1)
    return [dataclasses.replace(alike, name=f"teacher-{k}", seed=first + k) for k in range(config.teachers)]


def teach(config: FitConfig, run: Run, dataset: Dataset) -> Tensor:
    """Mean prediction of the run's trained teachers on the training part, ``(N, classes)`` probabilities.

    Each teacher stands at the epoch that validation chose; predictions are softened by ``distill_temperature``.

    Raises:
        ArgumentError: a teacher is not trained yet.
    """
    predictions = []
    for teacher in teacher_configs(config, run):
        model = build_model(teacher, dataset)
        load_weights(model, Run(run.path / teacher.run_name), "map")
        logits = predict_logits(model.eval(), dataset.train)
        predictions.append((logits / config.distill_temperature).softmax(dim=-1))
    return torch.stack(predictions).mean(dim=0)
