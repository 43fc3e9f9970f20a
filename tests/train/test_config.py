"""The configuration of a run: what it refuses, what it derives, and its file."""

import dataclasses

import pytest

from bitgate.errors import ArgumentError, FormatError
from bitgate.train import FitConfig, Run, Schedule
from bitgate.weights import BINARY, TERNARY, Categorical, Continuous, Gaussian, Quantized

REFUSED = [
    ({"epochs": 0}, "epochs: 0, expected a positive number"),
    ({"batch_size": -1}, "batch_size: -1, expected a positive"),
    ({"temperature": 0.0}, r"temperature: 0\.0, expected a positive"),
    ({"temperature": float("nan")}, "temperature: nan, expected a positive"),
    ({"temperature_end": -2.0}, r"temperature_end: -2\.0, expected a positive"),
    ({"validate_every": 0}, "validate_every: 0, expected a positive"),
    ({"validate_every": 9, "epochs": 5}, "validate_every: 9, expected at most epochs=5"),
    ({"draws": 0}, "draws: 0, expected a positive"),
    ({"devices": 0}, "devices: 0, expected a positive"),
    ({"threads": 0}, "threads: 0, expected a positive"),
    ({"scale_learning_rate": 0.0}, r"scale_learning_rate: 0\.0, expected a positive"),
    ({"kl_weight": -1.0}, r"kl_weight: -1\.0, expected 0 or more"),
    ({"entropy_weight": -1.0}, r"entropy_weight: -1\.0, expected 0 or more"),
    ({"clip_norm": -1.0}, r"clip_norm: -1\.0, expected 0 or more"),
    ({"patience": -1}, "patience: -1, expected 0 or more"),
    ({"seed": -1}, "seed: -1, expected 0 or more"),
    ({"learning_rate": 0.0}, r"learning_rate: 0\.0, expected a positive"),
    ({"name": "a/b"}, "name: 'a/b', expected letters"),
    ({"name": ""}, "name: '', expected letters"),
    ({"method": "gumbel"}, "method: 'gumbel', expected one of r, lr, qat"),
    ({"cell": "rnn"}, "cell: 'rnn', expected one of lstm, gru, ql_lstm, gated_rnn"),
    ({"split": "mine"}, "split: 'mine', expected one of paper, honest"),
    ({"temperature_schedule": "linear"}, "temperature_schedule: 'linear', expected one of constant, exp"),
    ({"learning_rate_schedule": "linear"}, "learning_rate_schedule: 'linear', expected one of constant, cosine"),
    ({"weights": "quaternary"}, "weights: 'quaternary', expected one of continuous, gaussian, ternary, binary or a"),
    ({"weights": 1}, "n_levels: 1, expected 2 to 256"),
    ({"weights": "gaussian", "method": "qat"}, "method: 'qat' quantizes, but gaussian weights are continuous"),
    ({"weights": "continuous", "kl_weight": 1.0}, r"kl_weight: 1\.0, but these weights have no posterior"),
    ({"method": "qat", "kl_weight": 1.0}, r"kl_weight: 1\.0, but these weights have no posterior"),
    ({"weights": "gaussian", "entropy_weight": 0.1}, r"entropy_weight: 0\.1, but these weights have no level"),
    ({"method": "qat", "entropy_weight": 0.1}, r"entropy_weight: 0\.1, but these weights have no level"),
    ({"prior": (0.5, 0.5)}, r"prior: \(0\.5, 0\.5\), expected 3 positive probabilities"),
    ({"prior": (0.5, 0.2, 0.2)}, r"prior: \(0\.5, 0\.2, 0\.2\), expected 3 positive probabilities that sum to 1"),
    ({"prior": (1.5, -0.7, 0.2)}, "prior: .* expected 3 positive"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[str(options) for options, _ in REFUSED])
def test_impossible_options_are_refused_by_name_and_value(options, message):
    with pytest.raises(ArgumentError, match=message):
        FitConfig(**options)


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({"weights": "continuous"}, Continuous()),
        ({"weights": "gaussian", "method": "lr"}, Gaussian(trick="lr")),
        ({"weights": "ternary"}, Categorical(TERNARY)),
        ({"weights": "binary", "method": "lr"}, Categorical(BINARY, trick="lr")),
        ({"temperature": 0.5, "straight_through": False}, Categorical(temperature=0.5, straight_through=False)),
        ({"weights": 4, "method": "qat"}, Quantized((-1.0, -1 / 3, 1 / 3, 1.0))),
        ({"weights": "binary", "method": "qat"}, Quantized(BINARY)),
    ],
)
def test_weights_are_those_the_options_name(options, weights):
    assert FitConfig(**options).make_weights() == weights


@pytest.mark.parametrize(
    ("options", "random"),
    [
        ({}, True),
        ({"weights": "gaussian"}, True),
        ({"weights": "continuous"}, False),
        ({"method": "qat"}, False),
        ({"weights": 4, "method": "lr"}, True),
    ],
)
def test_only_posteriors_are_random(options, random):
    assert FitConfig(**options).is_random is random


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ({}, 0.05),
        ({"method": "lr"}, 0.05),
        ({"method": "qat"}, 0.02),
        ({"weights": "continuous"}, 0.005),
        ({"weights": "gaussian", "method": "lr"}, 0.005),
        ({"learning_rate": 0.3}, 0.3),
    ],
)
def test_learning_rate_depends_on_the_method_unless_given(options, rate):
    assert FitConfig(**options).effective_learning_rate == rate


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "digits-ternary-r-seed0"),
        ({"weights": "continuous", "seed": 3}, "digits-continuous-seed3"),
        ({"weights": 4, "method": "qat"}, "digits-4levels-qat-seed0"),
        ({"gates": {"o": 2, "g": 3}}, "digits-ternary-r-g3-o2-seed0"),
        ({"data": "folder/my data.csv"}, "my-data-csv-ternary-r-seed0"),
        ({"data": "C:\\data\\swipes.npz"}, "swipes-npz-ternary-r-seed0"),
        ({"name": "mine_1.0"}, "mine_1.0"),
    ],
)
def test_folder_is_named_after_data_weights_and_seed(options, name):
    assert FitConfig(**options).run_name == name


def test_temperature_moves_as_configured():
    config = FitConfig(temperature=2.0, temperature_end=0.5, temperature_schedule="cosine")
    assert config.temperatures() == Schedule("cosine", 2.0, 0.5)


def test_configuration_survives_its_file(tmp_path):
    config = FitConfig(
        data="x.csv", hidden_sizes=(5, 7), weights=4, gates={"o": 2}, prior=(0.1, 0.4, 0.4, 0.1), kl_weight=0.5,
        learning_rate=1e-7, temperature_schedule="exponential", temperature_end=0.1, name="round-trip",
    )  # fmt: skip
    run = Run(tmp_path / "round-trip")
    run.write_config(config)
    assert run.read_config() == config


def test_file_spells_out_every_option(tmp_path):
    run = Run(tmp_path)
    run.write_config(FitConfig())
    assert [line.split(":")[0] for line in run.config_file.read_text().splitlines() if not line.startswith("-")] == [
        field.name for field in dataclasses.fields(FitConfig)
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected options and their values"),
        ("- a\n- b\n", "expected options and their values"),
        ("epochs: 0\n", "epochs: 0, expected a positive number"),
        ("epoch: 3\n", "epoch"),
        ("epochs: [", "while parsing"),
        ("hidden_sizes: 3\n", "int"),
    ],
)
def test_damaged_file_is_a_format_error_that_names_it(tmp_path, text, message):
    run = Run(tmp_path)
    run.config_file.write_text(text)
    with pytest.raises(FormatError, match=message) as error:
        run.read_config()
    assert str(run.config_file) in str(error.value)


def test_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match=r"holds no config\.yaml; give the folder of a run"):
        Run(tmp_path).read_config()


def test_run_that_has_not_ended_has_no_result(tmp_path):
    with pytest.raises(ArgumentError, match=r"has not ended .* continue it with `bitgate fit --resume`"):
        Run(tmp_path).read_result()
