"""Analyses of memory against closed forms, and the counts that the papers quote."""

import math

import pytest
import torch
from torch import nn

from bitgate.errors import ShapeError, UnsupportedError
from bitgate.nn import GRU, LSTM, QLLSTM, GatedRNN
from bitgate.research.examine import UNTRAINED, examine, examine_untrained, spaced_distances
from bitgate.research.memory import (
    cosine_over_distance,
    forget_gates,
    forget_products,
    gradient_norms,
    state_range,
)
from bitgate.research.recurrent_cost import compare_costs, step_flops


def by_hand(layer, x):
    """f (or what keeps the old state) one step at a time, from the layer's own parameters."""
    gates, h = [], torch.zeros(x.shape[0], layer.hidden_size)
    state = None
    for t in range(x.shape[1]):
        before = h
        output, state = layer(x[:, t : t + 1], state)
        h = output[:, 0]
        gates.append(gate_of(layer, x[:, t], before))
    return torch.stack(gates)


def gate_of(layer, x, h):
    units = layer.hidden_size
    w = torch.cat([layer.weight_ih_l0, layer.weight_hh_l0], dim=1)
    u = torch.cat([x, h], dim=1) @ w.T
    if isinstance(layer, QLLSTM):
        rows = slice(units, 2 * units)  # psug2: projection 0 feeds f
        return (layer.gate_scale_l0[rows] * u[:, :units] + layer.bias_l0[rows]).sigmoid()
    if layer.coupled:
        return 1 - (u + layer.bias_l0)[:, :units].sigmoid()
    if isinstance(layer, GatedRNN):
        return (u + layer.bias_l0)[:, :units].sigmoid()
    return (u + layer.bias_ih_l0 + layer.bias_hh_l0)[:, units : 2 * units].sigmoid()


LAYERS = {
    "lstm": lambda: LSTM(3, 5, batch_first=True),
    "coupled": lambda: LSTM(3, 5, batch_first=True, coupled=True),
    "gru": lambda: GRU(3, 5, batch_first=True),
    "gated_rnn": lambda: GatedRNN(3, 5, batch_first=True),
    "ql": lambda: QLLSTM(3, 5, batch_first=True, block_size=4),
}


@pytest.mark.parametrize("name", LAYERS)
def test_forget_gates_are_those_of_the_steps(name):
    torch.manual_seed(0)
    layer = LAYERS[name]().eval()
    x = torch.randn(2, 11, 3)
    with torch.no_grad():
        expected = by_hand(layer, x)
    gates, h = forget_gates(layer, x)
    torch.testing.assert_close(gates, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(h, layer(x)[0].transpose(0, 1).detach())
    assert not torch.allclose(gates, expected.roll(1, 0))


def test_forget_gates_refuse_a_stack():
    with pytest.raises(UnsupportedError, match="one layer in one direction"):
        forget_gates(LSTM(3, 5, num_layers=2), torch.zeros(1, 2, 3))


def test_product_of_constant_gates_is_a_power():
    gates = torch.full((50, 2, 3), 0.9)
    gates[:, :, 1] = 0.5
    found = forget_products(gates, (1, 7, 50))
    expected = torch.tensor([[0.9**d, 0.5**d, 0.9**d] for d in (1, 7, 50)], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


def test_product_averages_over_starts():
    gates = torch.tensor([0.5, 1.0, 0.25]).reshape(3, 1, 1)
    found = forget_products(gates, (1, 2)).flatten()
    assert found.tolist() == pytest.approx([(0.5 + 1 + 0.25) / 3, (0.5 + 0.25) / 2])


def test_cosine_of_a_turning_state():
    angle = 0.1 * torch.arange(200)
    h = torch.stack([angle.cos(), angle.sin()], dim=-1).unsqueeze(1)
    found = cosine_over_distance(h, (1, 10, 31))
    assert found.tolist() == pytest.approx([math.cos(0.1 * d) for d in (1, 10, 31)], abs=1e-5)


@pytest.mark.parametrize("distances", [(), (0,), (10,)])
def test_distances_outside_the_sequence_are_refused(distances):
    with pytest.raises(ShapeError, match="distances"):
        cosine_over_distance(torch.zeros(10, 1, 2), distances)


def test_gradient_of_a_linear_recurrence_falls_by_its_factor():
    def last_state(x):
        state = torch.zeros(x.shape[0], x.shape[2])
        for t in range(x.shape[1]):
            state = 0.8 * state + x[:, t]
        return state

    found = gradient_norms(last_state, torch.randn(2, 20, 4))
    assert found.tolist() == pytest.approx([0.8**d for d in range(20)], rel=1e-4)


def test_range_of_states_does_not_depend_on_pieces_and_sees_growth():
    torch.manual_seed(0)
    layer = LSTM(3, 4, batch_first=True).eval()
    x = torch.randn(2, 60, 3)
    whole, parts = state_range(layer, x, piece=60), state_range(layer, x, piece=7)
    assert max(parts.h) == pytest.approx(whole.h[0], rel=1e-5)
    assert parts.steps[-1] == 60
    assert parts.c[-1] == pytest.approx(whole.c[0], rel=1e-5)
    assert whole.is_finite


def test_the_raw_step_skip_diverges_and_warns_and_no_other_does():
    found = {memory.name: memory for memory in examine_untrained(4, 6, steps=40, long_steps=2000, batch=2)}
    assert list(found) == list(UNTRAINED)
    raw = found.pop(list(UNTRAINED)[-1])
    assert not raw.range.is_finite
    assert "grows without bound" in raw.warning
    for memory in found.values():
        assert memory.range.is_finite
        assert max(memory.range.h) < 3
        assert not memory.warning


def test_forget_bias_lengthens_the_memory():
    found = {memory.name: memory for memory in examine_untrained(4, 6, steps=40, long_steps=100, batch=2)}
    plain, biased = found["LSTM"], found["LSTM, bias 3"]
    assert biased.products[-1] > 1e4 * plain.products[-1]
    assert len(plain.gradients) == 41


def test_bidirectional_layers_are_refused():
    layer = LSTM(3, 4, batch_first=True, bidirectional=True)
    with pytest.raises(UnsupportedError, match="both ends"):
        examine("both", [layer], torch.zeros(1, 5, 3), torch.zeros(1, 5, 3))


def test_distances_are_spaced_over_the_whole_range():
    found = spaced_distances(1000)
    assert (found[0], found[-1]) == (1, 1000)
    assert list(found) == sorted(set(found))


def test_parameters_are_those_of_the_papers_and_of_torch():
    found = {cost.name: cost for cost in compare_costs(512, 512, vocabulary_size=8000)}
    torch_sizes = {
        "LSTM": nn.LSTM(512, 512, device="meta"),
        "GRU": nn.GRU(512, 512, device="meta"),
        "BiLSTM": nn.LSTM(512, 512, bidirectional=True, device="meta"),
    }
    for name, module in torch_sizes.items():
        assert found[name].recurrent == sum(p.numel() for p in module.parameters())
    assert found["LSTM"].recurrent == 2_101_248
    assert found["QL-LSTM (psug2, no skip)"].recurrent == 1_052_672
    assert found["QL-LSTM (psug2, block)"].recurrent == 1_052_673
    assert 0.49 < found["QL-LSTM (psug2, block)"].saving < 0.50
    assert found["QL-LSTM (psug1, block)"].saving == pytest.approx(0.75, abs=0.005)
    assert found["LSTM"].model == 2_101_248 + 8000 * 512 + 2 * 513


def test_operations_of_a_small_lstm_counted_by_hand():
    # 4 gates of 5 units: 20 rows of 3 + 5 columns, 20 biases, f c + i g and o tanh(c).
    assert step_flops(LSTM(3, 5, device="meta")) == 2 * 20 * 8 + 20 + 4 * 5
    # 2 projections, 20 factors and 20 biases, and one skip of 5 units in 16 steps.
    assert step_flops(QLLSTM(3, 5, device="meta")) == 2 * 10 * 8 + 40 + 4 * 5 + 2 * 5 / 16
