"""Training with rounded hidden states: they are the codes of the frozen network, and only an LSTM takes them."""

import numpy as np
import pytest
import torch

from bitgate import freeze
from bitgate.errors import ArgumentError
from bitgate.nn import LSTM, SequenceClassifier
from bitgate.train import FitConfig

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
