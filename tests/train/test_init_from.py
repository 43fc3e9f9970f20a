"""Training that starts from another run's best network."""

import pytest
import torch

from bitgate.errors import ArgumentError
from bitgate.nn.rounding import RoundInput
from bitgate.train import Run, fit, load_run_dataset, load_weights
from bitgate.train.run import start_from
from tests.train.tiny import equal_weights, run_of, saved_weights, tiny_config, untrained

QAT = {"method": "qat"}


@pytest.fixture
def first(data):
    config = tiny_config(data, name="first", **QAT)
    fit(config, progress=False)
    return config


def test_it_starts_where_the_other_run_ended(first, data):
    """With a rate that moves nothing it ends there, too; another seed's own start is elsewhere."""
    config = tiny_config(
        data, name="second", init_from=str(run_of(first).path), seed=5, learning_rate=1e-30, scale_learning_rate=1e-30,
        **QAT,
    )  # fmt: skip
    fit(config, progress=False)
    assert equal_weights(saved_weights(run_of(config)), saved_weights(run_of(first), "best-map"))
    other = untrained(config)
    load_weights(other, run_of(first), "map")
    assert not equal_weights(untrained(config).state_dict(), other.state_dict())


def test_rounding_is_the_new_runs_own(first, data):
    config = tiny_config(data, state_bits=8, init_from=str(run_of(first).path), name="rounded", **QAT)
    model = untrained(config)
    assert isinstance(model.round_input, RoundInput)
    step = float(model.round_input.step)
    start_from(model, run_of(first))
    assert float(model.round_input.step) == step
    expected = untrained(first)
    load_weights(expected, run_of(first), "map")
    assert equal_weights({k: v for k, v in model.state_dict().items() if "step" not in k}, expected.state_dict())
    fit(config, progress=False)
    plain = untrained(tiny_config(data, **QAT))
    start_from(plain, run_of(config))  # and back to floats
    x = torch.from_numpy(load_run_dataset(config).test.padded()[0])
    assert plain(x).isfinite().all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_sizes": (5,)}, r"init_from: .*first differs .*layers.0.*expected a run of the same layers"),
        ({"method": "r"}, r"init_from: .*first differs"),
        ({"init_from": "nowhere"}, r"init_from: nowhere holds no trained network"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(first, data, changes, message):
    config = tiny_config(data, **{"init_from": str(run_of(first).path), **QAT, **changes}, name="other")
    with pytest.raises(ArgumentError, match=message):
        fit(config, progress=False)
    assert not Run(run_of(config).path).config_file.exists()
