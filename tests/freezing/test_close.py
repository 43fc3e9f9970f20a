"""Frozen integers against the float network they came from, for every kind of module."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bitgate import freeze
from bitgate.frozen import PackedMatrix
from bitgate.frozen.interpreter import activate
from bitgate.gates import activate as float_activate
from bitgate.nn import QLLSTM, Linear, SequenceClassifier, fix_weights
from bitgate.weights import WeightDistribution
from tests.freezing import intervals
from tests.freezing.intervals import Interval, product
from tests.freezing.nets import CELLS, WEIGHTS, float_layers, float_output, input_interval, recurrent

BITS = (8, 13, 16)


def bounds(module, frozen, x) -> Interval:
    start, step = input_interval(frozen, x)
    return intervals.run(frozen, float_layers(fix_weights(module)), start, step)


def integers(frozen, x) -> np.ndarray:
    return frozen.run(x) * frozen.output_scale


@settings(max_examples=25)
@given(
    cell=st.sampled_from(sorted(CELLS)),
    weights=st.sampled_from(sorted(WEIGHTS)),
    levels=st.lists(st.sampled_from([0, 0, 2, 3, 5]), min_size=4, max_size=4),
    layers=st.integers(1, 2),
    bidirectional=st.booleans(),
    bias=st.booleans(),
    steps=st.integers(1, 6),
    hidden=st.integers(1, 5),
    inputs=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_output_stays_within_the_proven_bounds(
    cell, weights, levels, layers, bidirectional, bias, steps, hidden, inputs, seed
):
    torch.manual_seed(seed)
    gates = {letter: n for letter, n in zip(CELLS[cell], levels, strict=False) if n}
    module = recurrent(
        cell, inputs, hidden, weights=WEIGHTS[weights], gates=gates, num_layers=layers, bidirectional=bidirectional,
        bias=bias,
    )  # fmt: skip
    x = np.random.default_rng(seed).normal(size=(2, steps, inputs)).astype(np.float32)
    expected = float_output(module, x)
    for bits in BITS:
        frozen = freeze(module, state_bits=bits)
        inside = bounds(module, frozen, x)
        assert inside.holds(expected), "the bounds themselves are wrong: the float network leaves them"
        assert inside.holds(integers(frozen, x)), f"{bits} bits: an integer leaves its bounds"


@pytest.mark.parametrize("cell", sorted(CELLS))
def test_bounds_shrink_with_the_bits_and_mean_something(cell):
    """Of smooth discrete nets; a state bit halves the bound until the table's error is all that is left."""
    widths = {}
    for bits in BITS:
        torch.manual_seed(1)
        module = recurrent(cell, 2, 5, weights="ternary")
        x = np.random.default_rng(1).normal(size=(3, 5, 2)).astype(np.float32)
        widths[bits] = float(np.median(bounds(module, freeze(module, state_bits=bits), x).width))
    assert widths[8] < 0.5
    assert widths[13] < widths[8] / 6
    assert widths[16] < widths[13] / 1.5
    assert widths[16] < 0.02


@pytest.mark.parametrize("weights", ["ternary", "binary", "four levels"])
@pytest.mark.parametrize("cell", sorted(CELLS))
def test_error_shrinks_with_the_bits(cell, weights):
    errors = dict.fromkeys(BITS, 0.0)
    for seed in range(4):
        torch.manual_seed(seed)
        module = recurrent(cell, 3, 8, weights=WEIGHTS[weights])
        x = np.random.default_rng(seed).normal(size=(4, 12, 3)).astype(np.float32)
        expected = float_output(module, x)
        for bits in BITS:
            error = np.abs(integers(freeze(module, x, state_bits=bits), x) - expected)
            errors[bits] = max(errors[bits], float(error.max()))
    # A code of 8 bits is 2**-7 wide: the input's and the state's roundings add to a few codes.
    assert errors[8] < 0.08
    assert errors[13] < errors[8] / 8
    assert errors[16] <= 1.15 * errors[13], "products of 32 bits leave 16-bit states multipliers of ten bits"
    assert errors[16] < 3e-3, "the sigmoid table (5e-5), Q11 cells (2e-4) and 10-bit multipliers (1e-3) are left"


@pytest.mark.parametrize("part", ["gate scales", "gate map", "alpha", "block", "range"])
def test_a_wrong_part_of_a_ql_lstm_leaves_the_bounds(part):
    """Sabotage twins."""
    torch.manual_seed(1)
    module = recurrent("ql", 3, 4, weights="ternary")
    x = np.random.default_rng(0).normal(size=(2, 7, 3)).astype(np.float32)
    frozen = freeze(module)
    layer = frozen.flat_layers[0]
    assert bounds(module, frozen, x).holds(integers(frozen, x))
    changes = {
        "gate scales": {"mult_ih": np.roll(layer.mult_ih, 1)},
        "gate map": {"sharing": (0, 1, 0, 0)},
        "alpha": {"skip": replace(layer.skip, alpha=layer.skip.alpha // 2)},
        "block": {"skip": replace(layer.skip, block_size=2)},
        "range": {"skip": replace(layer.skip, range_bits=layer.skip.range_bits + 1)},
    }
    wrong = replace(frozen, layers=((replace(layer, **changes[part], product_bits=64),),))
    assert not bounds(module, frozen, x).holds(integers(wrong, x))


@pytest.mark.parametrize("alpha", [None, 1.0])
def test_ranges_of_hidden_states(alpha):
    """By alpha without data; by the data with them; never more than the bits allow."""
    torch.manual_seed(0)
    module = QLLSTM(3, 6, batch_first=True, block_size=2, skip_scale=alpha, weights="ternary", bidirectional=True)
    if alpha is None:
        with torch.no_grad():  # 1 / (1 - 0.9) needs a range of 16, in one direction
            module.skip_logit_l0_reverse.fill_(np.log(9.0))
    x = np.random.default_rng(0).normal(size=(4, 30, 3)).astype(np.float32)
    without, with_data = freeze(module), freeze(module, x)
    ks = [[layer.range_bits for layer in frozen.flat_layers] for frozen in (without, with_data)]
    assert ks[0] == [3, 3] if alpha else [4, 4]
    largest = np.abs(float_output(module.double(), x)).max()
    assert 2 ** ks[1][0] >= largest > 2 ** (ks[1][0] - 1)
    assert ks[1][0] == ks[1][1]
    assert freeze(QLLSTM(3, 6, skip_scale=0.999), state_bits=8).flat_layers[0].range_bits == 4
    assert [f.skip.block_size for f in with_data.flat_layers] == [2, 2]
    got = integers(with_data, x)
    assert np.abs(got - float_output(module.double(), x)).max() < 0.02


@pytest.mark.parametrize("fields", [("mult_ih", "mult_hh", "shift"), ("bias",)], ids=["scales", "biases"])
def test_swapped_gates_leave_the_bounds(fields):
    """Sabotage twin: exchange the input and output gates in some constants of the frozen layer."""
    torch.manual_seed(0)
    module = recurrent("lstm", 3, 4, weights="ternary")
    with torch.no_grad():
        module.log_scale_l0 += torch.tensor([0.4, -0.4, 0.2, -0.2])
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    frozen = freeze(module)
    layer = frozen.flat_layers[0]
    assert bounds(module, frozen, x).holds(integers(frozen, x))
    constants = {name: getattr(layer, name).reshape(4, -1)[[3, 1, 2, 0]].reshape(-1) for name in fields}
    swapped = replace(frozen, layers=((replace(layer, **constants, product_bits=64),),))
    assert not bounds(module, frozen, x).holds(integers(swapped, x))


def test_one_flipped_weight_leaves_the_bounds():
    torch.manual_seed(0)
    module = recurrent("coupled", 3, 4, weights="ternary")
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    frozen = freeze(module)
    layer = frozen.flat_layers[0]
    codes = layer.w_hh.codes.copy()
    codes[5, 2] = (codes[5, 2] + 1) % 3
    flipped = replace(layer, w_hh=PackedMatrix.from_codes(codes, layer.w_hh.levels.copy()))
    assert not bounds(module, frozen, x).holds(integers(replace(frozen, layers=((flipped,),)), x))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("weights", sorted(WEIGHTS))
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_exact_up_to_its_roundings(weights, bits, bias):
    torch.manual_seed(3)
    layer = Linear(6, 4, bias, weights=WEIGHTS[weights], dtype=torch.float64)
    frozen = freeze(layer, state_bits=bits)
    x = np.random.default_rng(0).normal(size=(5, 1, 6)).astype(np.float32)
    start, step = input_interval(frozen, x)
    fixed = fix_weights(layer)
    matrix = fixed.weight.mode() if isinstance(fixed.weight, WeightDistribution) else fixed.weight
    scale = 1.0 if fixed.scale() is None else fixed.scale().item()
    real = matrix.detach().numpy() * scale
    frozen_real = frozen.readout.weight.values * frozen.readout.mult[:, None] * frozen.readout.scale / step
    inside = product(real, start).wider(start.magnitude @ np.abs(frozen_real - real).T + frozen.output_scale)
    shift = np.zeros(4) if layer.bias is None else layer.bias.detach().numpy()
    logits = frozen.run(x) * frozen.output_scale
    assert Interval(inside.low + shift, inside.high + shift).holds(logits[:, None])
    largest = np.abs(real).sum(axis=1).max()
    assert inside.width.max() < 2.1 * largest * (step + 4 * (len(frozen.readout.mult) > 1) / 127)


@pytest.mark.parametrize("weights", sorted(WEIGHTS))
@pytest.mark.parametrize(
    "options",
    [
        {"coupled": True},
        {"coupled": False, "gates": {"f": 2, "o": 2}},
        {"cell": "gru"},
        {"bidirectional": True},
        {"hidden_sizes": (5, 4)},
        {"cell": "ql_lstm", "block_size": 3, "hidden_sizes": (5, 4)},
        {"cell": "ql_lstm", "coupled": True, "sharing": "psug1", "skip": None, "gates": {"o": 2}},
        {"cell": "gru", "sharing": "psug2"},
        {"cell": "gated_rnn"},
    ],
    ids=str,
)
def test_classifier_decides_like_the_float_network(weights, options):
    torch.manual_seed(5)
    model = SequenceClassifier(3, 4, **({"hidden_sizes": (6,)} | options), weights=WEIGHTS[weights])
    model.standardize.set([1.0, -2.0, 0.0], [0.5, 2.0, 1.0])
    rng = np.random.default_rng(5)
    x = rng.normal([1.0, -2.0, 0.0], [0.5, 2.0, 1.0], (40, 7, 3)).astype(np.float32)
    lengths = rng.integers(1, 8, 40)
    with torch.no_grad():
        expected = fix_weights(model)(torch.from_numpy(x), torch.from_numpy(lengths)).numpy()
    errors = {}
    for bits in BITS:
        frozen = freeze(model, (x, lengths), state_bits=bits)
        errors[bits] = float(np.abs(frozen.run(x, lengths) * frozen.output_scale - expected).mean())
    smooth = "gates" not in options
    spread = float(expected.std())
    assert errors[8] < (0.15 if smooth else 0.5) * spread
    assert errors[16] < (0.02 if smooth else 0.2) * spread
    if weights not in ("continuous", "gaussian"):  # there, rounding the weights to 8 bits is the larger error
        assert errors[16] < errors[8]


@pytest.mark.parametrize("cell", sorted(CELLS))
def test_step_gates_on_exact_inputs_are_exact(cell):
    """Inputs that are codes, step gates and no rounding before the step: the hidden states agree to half a code.

    The scales are 1 and all gates steps, so i, f, g, o are 0 or +-1 in both worlds; only tanh(c) is rounded.
    """
    torch.manual_seed(2)
    module = recurrent(cell, 3, 6, weights="binary", bias=False, gates=dict.fromkeys(CELLS[cell], 2))
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "_scale" in name:
                parameter.fill_(float(name.startswith("gate_scale")))
    x = np.random.default_rng(2).choice([-2.0, -1.0, 1.0], size=(5, 1, 3)).astype(np.float32)
    expected = float_output(module, x)
    frozen = freeze(module)
    got = integers(frozen, x)
    assert np.unique(np.abs(np.round(got, 2))).size <= 2, "one step from zero: tanh(0), tanh(1), or 0 and 1"
    np.testing.assert_allclose(got, expected, rtol=0, atol=1.3e-4 + 0.5 * frozen.output_scale)


@pytest.mark.parametrize("gate_levels", [2, 3])
def test_gate_values_of_two_and_three_levels_are_exact(gate_levels):
    u = np.concatenate([np.arange(-200_000, 200_000, 977), [-1, 0, 1]])
    for letter, factor in (("i", 1.0), ("g", 0.5)):
        preact = torch.from_numpy(u / 32768 * factor)
        expected = float_activate(preact, letter, gate_levels).numpy()
        np.testing.assert_array_equal(activate(u, letter, gate_levels) / 32768, expected)
