"""Trained models from the folder of a run, for the verbs that need one."""

from pathlib import Path

from bitgate.data import Dataset
from bitgate.nn import Classifier
from bitgate.train import FitConfig, Run, build_model, has_posterior, load_run_dataset, load_weights


def load_trained(path: str, *, mode: str = "map", data_dir: str | None = None) -> tuple[Classifier, Dataset, FitConfig]:
    """Model, data set and configuration of a run, at the epoch that validation chose for ``mode``.

    Raises:
        ArgumentError: no such run, or no checkpoint yet.
    """
    run = Run(Path(path))
    config = run.read_config()
    dataset = load_run_dataset(config, data_dir)
    model = build_model(config, dataset)
    load_weights(model, run, "sample" if mode == "sample" and has_posterior(model) else "map")
    return model, dataset, config
