"""Training with Lightning: configuration, objective, runs and evaluation."""

from bitgate.train.config import FitConfig
from bitgate.train.evaluate import Evaluation, evaluate, has_posterior, predict_logits
from bitgate.train.fit import fit
from bitgate.train.heap import keep_freed_memory
from bitgate.train.objective import free_energy
from bitgate.train.run import Run, build_model, load_run_dataset, load_weights
from bitgate.train.schedules import Schedule

__all__ = [
    "Evaluation",
    "FitConfig",
    "Run",
    "Schedule",
    "build_model",
    "evaluate",
    "fit",
    "free_energy",
    "has_posterior",
    "keep_freed_memory",
    "load_run_dataset",
    "load_weights",
    "predict_logits",
]
