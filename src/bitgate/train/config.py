"""Everything a training run is made of, as one flat, typed record that YAML and flags fill."""

import math
import re
from dataclasses import dataclass, field
from typing import Literal, get_args, get_origin, get_type_hints

from bitgate.errors import ArgumentError
from bitgate.nn import ClassifierCell
from bitgate.nn.matrix import check_state_bits
from bitgate.train.schedules import Schedule, ScheduleKind
from bitgate.weights import BINARY, TERNARY, Categorical, Continuous, Gaussian, Quantized, Weights, uniform_levels

WeightKind = Literal["continuous", "gaussian", "ternary", "binary"]
Method = Literal["r", "lr", "qat"]
SkipKind = Literal["auto", "block", "step", "step-raw", "none"]

_LEARNING_RATES = {"r": 0.05, "lr": 0.05, "qat": 0.02, "backprop": 0.005}


@dataclass(frozen=True)
class FitConfig:
    """A training run. `bitgate fit` takes every field as a flag and as a key of its YAML file.

    Args:
        data: a data set's name (see `bitgate data list`) or a path to your .npz, .parquet or .csv.
        data_dir: folder with packed data sets; $BITGATE_DATA where not given.
        split: "paper" as published, or "honest": by subject or recording where a set has it.
        name: name of the run's folder; made from the data, weights and seed where not given.
        runs_dir: folder that holds the runs.
        hidden_sizes: units of each recurrent layer, such as 64,32.
        cell: recurrent cell: lstm, gru, ql_lstm or gated_rnn.
        coupled: forget gate = 1 - input gate (lstm, ql_lstm), as in the paper on discrete LSTMs.
        sharing: gate map (not of an lstm): psug2, psug1, none, or a map such as i=0,f=0,g=1,o=0; auto is psug2 for
            ql_lstm, else none.
        skip: additive skip of a ql_lstm: block, step, step-raw or none; auto is block.
        block_size: steps of a block of that skip.
        forget_bias: initial bias of the forget gate (lstm, ql_lstm); drawn where not given.
        bidirectional: whether layers also run from the end to the beginning; such a network cannot be streamed.
        embedding_size: features of a token, for text.
        vocabulary_size: tokens of a language model (data: a .txt file, or wikitext-103).
        bptt_steps: tokens after which a language model's gradient is cut; its state goes on.
        tied: a language model's readout has the embedding's weights.
        weights: continuous, gaussian, ternary, binary, or a count of uniform levels such as 4.
        method: r (reparametrization), lr (local reparametrization) or qat; of no effect on continuous weights.
        gates: level counts of gates to discretize, such as o=2,g=2; in YAML {o: 2, g: 2}.
        dropout: dropout between recurrent layers.
        init_from: folder of a run, such as runs/NAME, whose best network the training starts from; of the same layers
            and weights.
        state_bits: train with inputs and hidden states rounded to so many bits, for a model to be frozen with few
            (LSTM).
        temperature: of the Gumbel-Softmax relaxation (method r), at the start.
        temperature_end: temperature in the last epoch, for schedules that move.
        temperature_schedule: constant, exponential or cosine.
        straight_through: exact discrete draws in the forward pass (method r).
        kl_weight: weight of the KL term; 0 as in the paper, 1 is the variational bound.
        prior: probabilities of the levels for the KL term, uniform where not given.
        entropy_weight: bonus per bit of mean weight entropy, against collapse.
        pretrain_epochs: epochs that use the lr-trick before the r-trick takes over (method r).
        teachers: continuous networks that are trained first, inside the run's folder; the network then learns from
            their mean prediction beside the labels (distillation).
        teacher_epochs: passes over the training part of each teacher.
        distill_weight: share of the teachers in the loss, 0 to 1; the labels have the rest.
        distill_temperature: softens the predictions of teachers and network alike.
        learning_rate: Adam's; 0.05 for r and lr, 0.02 for qat, 0.005 for continuous weights where not given.
        scale_learning_rate: Adam's for the scales of discrete layers.
        learning_rate_schedule: constant, or cosine down to a hundredth.
        clip_norm: largest norm of the gradient; 0 does not clip.
        clip_latents: after every step, put latent weights (method qat) back into the range of their levels, where
            they get a gradient.
        batch_size: sequences per step.
        epochs: passes over the training part, at most.
        patience: stop after so many validated epochs without a better one; 0 never stops early.
        validate_every: epochs between validations.
        draws: networks drawn from the posterior for the sample metric.
        seed: of initial weights, batches and noise.
        accelerator: cpu, gpu or auto.
        devices: how many.
        threads: CPU threads; 1 is fastest for small nets, run several trials side by side instead.
    """

    data: str = "digits"
    data_dir: str | None = None
    split: Literal["paper", "honest"] = "paper"
    name: str | None = None
    runs_dir: str = "runs"
    hidden_sizes: tuple[int, ...] = (64, 32)
    cell: ClassifierCell = "lstm"
    coupled: bool = True
    sharing: str | dict[str, int] = "auto"
    skip: SkipKind = "auto"
    block_size: int = 16
    forget_bias: float | None = None
    bidirectional: bool = False
    embedding_size: int = 64
    vocabulary_size: int = 8000
    bptt_steps: int = 64
    tied: bool = False
    weights: WeightKind | int = "ternary"
    method: Method = "r"
    gates: dict[str, int] = field(default_factory=dict)
    dropout: float = 0.0
    init_from: str | None = None
    state_bits: int | None = None
    temperature: float = 1.0
    temperature_end: float = 1.0
    temperature_schedule: ScheduleKind = "constant"
    straight_through: bool = True
    kl_weight: float = 0.0
    prior: tuple[float, ...] | None = None
    entropy_weight: float = 0.0
    pretrain_epochs: int = 0
    teachers: int = 0
    teacher_epochs: int = 60
    distill_weight: float = 0.5
    distill_temperature: float = 2.0
    learning_rate: float | None = None
    scale_learning_rate: float = 0.002
    learning_rate_schedule: Literal["constant", "cosine"] = "cosine"
    clip_norm: float = 1.0
    clip_latents: bool = True
    batch_size: int = 64
    epochs: int = 100
    patience: int = 0
    validate_every: int = 1
    draws: int = 5
    seed: int = 0
    accelerator: str = "cpu"
    devices: int = 1
    threads: int = 1

    def __post_init__(self) -> None:
        positive = ("temperature", "temperature_end", "batch_size", "epochs", "validate_every", "draws", "devices")
        own = (
            "threads",
            "block_size",
            "vocabulary_size",
            "bptt_steps",
            "scale_learning_rate",
            "teacher_epochs",
            "distill_temperature",
        )
        for name in (*positive, *own):
            if not getattr(self, name) > 0:
                raise ArgumentError(f"{name}: {getattr(self, name)}, expected a positive number")
        for name in ("kl_weight", "entropy_weight", "clip_norm", "patience", "seed", "pretrain_epochs", "teachers"):
            if getattr(self, name) < 0:
                raise ArgumentError(f"{name}: {getattr(self, name)}, expected 0 or more")
        for name, hint in get_type_hints(FitConfig).items():
            if get_origin(hint) is Literal and getattr(self, name) not in get_args(hint):
                raise ArgumentError(f"{name}: {getattr(self, name)!r}, expected one of {', '.join(get_args(hint))}")
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise ArgumentError(f"learning_rate: {self.learning_rate}, expected a positive number")
        if self.name is not None and not re.fullmatch(r"[\w.=+-]+", self.name):
            raise ArgumentError(f"name: {self.name!r}, expected letters, digits, '.', '_', '-', '=' and '+' only")
        check_state_bits(self.state_bits)
        if self.state_bits is not None and self.cell != "lstm":
            raise ArgumentError(f"state_bits: {self.state_bits}, but only an LSTM can be trained with rounded states")
        if self.validate_every > self.epochs:
            raise ArgumentError(f"validate_every: {self.validate_every}, expected at most epochs={self.epochs}")
        if not 0 <= self.distill_weight <= 1:
            raise ArgumentError(f"distill_weight: {self.distill_weight}, expected 0 to 1")
        self._check_posterior_terms()

    def _check_posterior_terms(self) -> None:
        """Refuses terms of the objective that the weights do not have."""
        levels = self.make_weights().levels
        if self.pretrain_epochs and not (self.is_random and self.method == "r"):
            raise ArgumentError(
                f"pretrain_epochs: {self.pretrain_epochs}, but only method r can begin with the lr-trick; set it to 0"
            )
        if self.kl_weight and not self.is_random:
            raise ArgumentError(f"kl_weight: {self.kl_weight}, but these weights have no posterior; set it to 0")
        if self.entropy_weight and not (self.is_random and levels):
            raise ArgumentError(
                f"entropy_weight: {self.entropy_weight}, but these weights have no level probabilities; set it to 0"
            )
        if self.prior is not None:
            expected = len(levels) if self.is_random and levels else 0
            is_distribution = math.isclose(sum(self.prior), 1, abs_tol=1e-6) and min(self.prior) > 0
            if len(self.prior) != expected or not is_distribution:
                raise ArgumentError(f"prior: {self.prior}, expected {expected} positive probabilities that sum to 1")

    @property
    def is_random(self) -> bool:
        """Whether there is a posterior to draw networks from."""
        return self.weights == "gaussian" or (self.weights != "continuous" and self.method != "qat")

    @property
    def effective_learning_rate(self) -> float:
        """The learning rate given, or the default of the method."""
        if self.learning_rate is not None:
            return self.learning_rate
        backprop = self.weights in ("continuous", "gaussian")
        return _LEARNING_RATES["backprop" if backprop else self.method]

    @property
    def run_name(self) -> str:
        """Name of the run's folder."""
        if self.name is not None:
            return self.name
        data = re.sub(r"\W+", "-", re.split(r"[\\/]", self.data)[-1]).strip("-")
        kind = f"{self.weights}levels" if isinstance(self.weights, int) else self.weights
        method = "" if self.weights == "continuous" else f"-{self.method}"
        gates = "".join(f"-{gate}{levels}" for gate, levels in sorted(self.gates.items()))
        return f"{data}-{kind}{method}{gates}-seed{self.seed}"

    def temperatures(self) -> Schedule:
        """The temperature over the epochs."""
        return Schedule(self.temperature_schedule, self.temperature, self.temperature_end)

    def make_weights(self) -> Weights:
        """The description of the weights.

        Raises:
            ArgumentError: weights that do not exist or do not go with the method.
        """
        if self.weights == "continuous":
            return Continuous()
        if self.weights == "gaussian":
            if self.method == "qat":
                raise ArgumentError("method: 'qat' quantizes, but gaussian weights are continuous; use 'r' or 'lr'")
            return Gaussian(trick=self.method)
        named = {"ternary": TERNARY, "binary": BINARY}
        if isinstance(self.weights, str) and self.weights not in named:
            raise ArgumentError(
                f"weights: {self.weights!r}, expected one of {', '.join(get_args(WeightKind))} or a count"
            )
        levels = uniform_levels(self.weights) if isinstance(self.weights, int) else named[self.weights]
        if self.method == "qat":
            return Quantized(levels)
        return Categorical(
            levels, trick=self.method, temperature=self.temperature, straight_through=self.straight_through
        )
