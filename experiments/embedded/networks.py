"""The networks of networks.yml: training, and the frozen models that everything else is measured on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bitgate import FrozenModel, freeze, load
from bitgate.data import Dataset
from bitgate.train import FitConfig, Run, build_model, evaluate, fit, load_run_dataset, load_weights


@dataclass(frozen=True)
class Network:
    """One cell of the grid: a data set and the kind of its gates."""

    config: FitConfig
    gates: str  # key of the grid's gates

    @property
    def name(self) -> str:
        """Such as ``uci-har step``."""
        return f"{self.config.data} {self.gates}"

    @property
    def run(self) -> Run:
        """Folder of the training run, which holds the frozen models as well."""
        return Run(Path(self.config.runs_dir) / self.config.run_name)

    def dataset(self) -> Dataset:
        """The data set."""
        return load_run_dataset(self.config)

    def train(self) -> dict[str, Any]:
        """Trains, or goes on from the last epoch, unless it is done; returns the run's result."""
        return self.run.read_result() if self.run.result_file.is_file() else fit(self.config, resume=True)

    def model_file(self, state_bits: int) -> Path:
        """Where the frozen model lies."""
        return self.run.path / f"model-{state_bits}.bitgate"

    def frozen(self, state_bits: int) -> FrozenModel:
        """The frozen model of the best epoch, made once."""
        path = self.model_file(state_bits)
        if not path.is_file():
            dataset = self.dataset()
            frozen = freeze(self._float_model(dataset), dataset.val, state_bits=state_bits)
            frozen.with_metadata(data=self.config.data).save(path)
        return load(path)

    def _float_model(self, dataset: Dataset) -> Any:
        model = build_model(self.config, dataset)
        load_weights(model, self.run, "map")
        return model

    def accuracies(self, state_bits: list[int]) -> dict[str, Any]:
        """Accuracy on the whole test part: of the float network, and by bits of the states."""
        dataset = self.dataset()
        x, lengths = dataset.test.padded()
        frozen = {
            bits: float(np.mean(self.frozen(bits).predict(x, lengths) == dataset.test.labels)) for bits in state_bits
        }
        return {
            "n_test": len(dataset.test),
            "float": evaluate(self._float_model(dataset), dataset.test).map_accuracy,
            "frozen": frozen,
        }


def networks(grid: dict[str, Any], runs_dir: str) -> Iterator[Network]:
    """All networks, those of one data set together."""
    for data, own in grid["networks"].items():
        options = {**grid["common"], **own, "hidden_sizes": tuple(own["hidden_sizes"])}
        for gates, levels in grid["gates"].items():
            name = f"{grid['experiment']}-{data}-{gates}"
            yield Network(FitConfig(data=data, gates=levels, name=name, runs_dir=runs_dir, **options), gates)
