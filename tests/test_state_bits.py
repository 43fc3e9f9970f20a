"""Training with rounded inputs and hidden states: they are the codes of the frozen network; only an LSTM takes them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bitgate import freeze
from bitgate.errors import ArgumentError
from bitgate.nn import LSTM, SequenceClassifier
from bitgate.nn.rounding import RoundInput, least_error_step
from bitgate.train import FitConfig, build_model, load_run_dataset
from tests.train.tiny import tiny_config, write_digits

BITS = 8
UNIT = 1 << (BITS - 1)


def lstm(state_bits: int | None, coupled: bool) -> LSTM:
    torch.manual_seed(0)
    return LSTM(3, 32, batch_first=True, weights="ternary", coupled=coupled, state_bits=state_bits).double().eval()


@pytest.mark.parametrize("coupled", [False, True])
def test_rounded_states_are_nearer_to_those_of_the_frozen_network(coupled: bool) -> None:
    x = np.random.default_rng(0).normal(size=(1, 200, 3))
    frozen = freeze(lstm(None, coupled), x.astype(np.float32), state_bits=BITS)
    exact = frozen.quantize(x[0]) / frozen.input_map.gain  # inputs that are whole codes
    expected = frozen.trace(exact[None]).h[0][0]

    def error(state_bits: int | None) -> float:
        with torch.no_grad():
            h = lstm(state_bits, coupled)(torch.tensor(exact[None], dtype=torch.float64))[0][0].numpy()
        return float(np.abs(h * UNIT - expected).mean())

    assert error(BITS) < 0.15
    assert error(None) > 2 * error(BITS)


def test_the_gradient_passes() -> None:
    model = lstm(BITS, coupled=True).train()
    model(torch.randn(2, 9, 3, dtype=torch.float64))[0].square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name


def test_refusals_name_the_argument() -> None:
    for value in (7, 17, 8.0, True):
        with pytest.raises(ArgumentError, match=r"state_bits: .*, expected 8 to 16"):
            LSTM(3, 4, state_bits=value)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="state_bits: 8, but only cell='lstm'"):
        SequenceClassifier(3, 2, cell="gru", state_bits=8)
    with pytest.raises(ArgumentError, match="state_bits: 3"):
        FitConfig(state_bits=3)


def test_it_shows() -> None:
    assert repr(LSTM(3, 4, state_bits=8)) == "LSTM(3, 4, state_bits=8)"
    assert [layer.recurrence.state_bits for layer in SequenceClassifier(3, 2, state_bits=13).layers] == [13, 13]


def test_the_step_is_the_one_of_least_error() -> None:
    values = torch.randn(200_000, 2)
    values[0, 0] = 12.0  # one outlier must not cost the resolution of all others
    step = least_error_step(values, BITS)

    def error(step: float) -> float:
        return float(((values / step).round().clamp(1 - UNIT, UNIT - 1) * step - values).square().mean())

    assert error(step) < 0.5 * error(12.0 / (UNIT - 1))
    assert error(step) <= min(error(step * 2**0.25), error(step / 2**0.25))
    assert least_error_step(torch.zeros(3, 2), BITS) > 0


def test_rounded_inputs_are_multiples_of_the_step_and_clipped() -> None:
    rounding = RoundInput(BITS)
    rounding.calibrate(torch.linspace(-2, 2, 401))
    codes = rounding(torch.tensor([0.0, 0.3, -0.3, 1e9, -1e9])) / rounding.step
    assert torch.equal(codes[[0, 3, 4]], torch.tensor([0.0, UNIT - 1, 1 - UNIT]))
    assert torch.allclose(codes, codes.round(), atol=1e-5)
    x = torch.randn(5, requires_grad=True)
    rounding(x).sum().backward()
    assert torch.equal(x.grad, torch.ones(5))


def test_freezing_takes_the_inputs_of_the_training(tmp_path: Path) -> None:
    config = tiny_config(write_digits(tmp_path / "digits.npz"), state_bits=BITS)
    dataset = load_run_dataset(config)
    model = build_model(config, dataset).eval()
    assert isinstance(model.round_input, RoundInput)
    x = dataset.test.padded()[0]
    # Other data than the training's: their own step would be a hundred times wider.
    frozen = freeze(model, x * 100, state_bits=BITS)
    expected = model.prepare(torch.from_numpy(x)) / model.round_input.step
    assert np.array_equal(frozen.quantize(x), expected.round().numpy().astype(np.int16))
    wide = freeze(model, x * 100, state_bits=16)
    assert (wide.input_map.gain < 0.1 * frozen.input_map.gain * 2.0 ** (16 - BITS)).all()


def test_a_checkpoint_without_rounding_is_unchanged() -> None:
    names = set(SequenceClassifier(3, 2).state_dict())
    assert set(SequenceClassifier(3, 2, state_bits=8).state_dict()) - names == {"round_input.step"}
