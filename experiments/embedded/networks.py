"""The networks of networks.yml: training, and the frozen models that everything else is measured on."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
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
    trained_bits: tuple[int, ...] = ()  # widths of states for which it is fine-tuned before it is frozen
    compared_bits: tuple[int, ...] = ()  # those it is fine-tuned with to be compared only
    fine_tuning: dict[str, Any] = field(default_factory=dict)  # options of these trainings
    start: "Network | None" = None  # the network that this one is a fine-tuning of

    @property
    def name(self) -> str:
        """Such as ``uci-har step``."""
        return f"{self.config.data} {self.gates}"

    @property
    def all_trainings(self) -> list["Network"]:
        """This network, and those fine-tuned with rounded inputs and states."""
        return [self, *map(self._trained_with, (*self.trained_bits, *self.compared_bits))]

    def trained_for(self, state_bits: int) -> "Network":
        """The training that is frozen with so many bits: fine-tuned with states of that width, where there is one."""
        return self._trained_with(state_bits) if state_bits in self.trained_bits else self

    def _trained_with(self, state_bits: int) -> "Network":
        own = {"name": f"{self.config.name}-{state_bits}bits", "state_bits": state_bits}
        config = replace(self.config, **own, **self.fine_tuning, init_from=str(self.run.path))
        return Network(config, self.gates, start=self)

    @property
    def run(self) -> Run:
        """Folder of the training run, which holds the frozen models as well."""
        return Run(Path(self.config.runs_dir) / self.config.run_name)

    def dataset(self) -> Dataset:
        """The data set."""
        return load_run_dataset(self.config)

    def train(self) -> dict[str, Any]:
        """Trains, or goes on from the last epoch, unless it is done; returns the run's result."""
        if self.start is not None:
            self.start.train()
        return self.run.read_result() if self.run.result_file.is_file() else fit(self.config, resume=True)

    def model_file(self, state_bits: int) -> Path:
        """Where the frozen model lies."""
        return self.run.path / f"model-{state_bits}.bitgate"

    def frozen(self, state_bits: int) -> FrozenModel:
        """The model to run with states of so many bits: of the best epoch, made once."""
        return self.trained_for(state_bits)._frozen_own(state_bits)

    def _frozen_own(self, state_bits: int) -> FrozenModel:
        path = self.model_file(state_bits)
        if not path.is_file():
            dataset = self.dataset()
            frozen = freeze(self._float_model(dataset), dataset.val, state_bits=state_bits)
            frozen.with_metadata(data=self.config.data).save(path)
        return load(path)

    def _float_model(self, dataset: Dataset) -> Any:
        self.train()
        model = build_model(self.config, dataset)
        load_weights(model, self.run, "map")
        return model

    def accuracies(self, state_bits: list[int]) -> dict[str, Any]:
        """Accuracy of this training on the whole test part: of the float network, and by bits of the states.

        ``changed`` counts the sequences that are wrong and right with fewer than 16 bits, but were not with 16.
        """
        dataset = self.dataset()
        x, lengths = dataset.test.padded()
        right = {bits: self._frozen_own(bits).predict(x, lengths) == dataset.test.labels for bits in state_bits}
        changed = {
            bits: (int(np.sum(right[16] & ~found)), int(np.sum(~right[16] & found))) for bits, found in right.items()
        }
        return {
            "n_test": len(dataset.test),
            "float": evaluate(self._float_model(dataset), dataset.test).map_accuracy,
            "frozen": {bits: float(np.mean(found)) for bits, found in right.items()},
            "changed": changed,
        }


def networks(grid: dict[str, Any], runs_dir: str, seed: int | None = None) -> Iterator[Network]:
    """All networks, those of one data set together; with another seed than the grid's where one is given."""
    common = grid["common"] | ({} if seed is None else {"seed": seed})
    mark = "" if seed is None else f"-seed{seed}"
    for data, own in grid["networks"].items():
        options = {**common, **own, "hidden_sizes": tuple(own["hidden_sizes"])}
        trained, compared = options.pop("trained_bits", {}), options.pop("compared_bits", {})
        fine_tuning = options.pop("fine_tuning", {})
        for gates, levels in grid["gates"].items():
            name = f"{grid['experiment']}-{data}-{gates}{mark}"
            config = FitConfig(data=data, gates=levels, name=name, runs_dir=runs_dir, **options)
            yield Network(config, gates, tuple(trained.get(gates, ())), tuple(compared.get(gates, ())), fine_tuning)
