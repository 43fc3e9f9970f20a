"""What freezing takes, keeps, reports and refuses."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from bitgate import FrozenModel, freeze
from bitgate.data import Sequences
from bitgate.errors import ArgumentError, DataError, UnsupportedError
from bitgate.freezing import DEFAULT_INPUT_RANGE, as_sequences, integer_levels
from bitgate.frozen.bounds import code_limit
from bitgate.nn import GRU, LSTM, QLLSTM, Linear, SequenceClassifier, count_bits, fix_weights
from bitgate.train import predict_logits
from tests.freezing.nets import WEIGHTS

RNG = np.random.default_rng(11)
X = RNG.normal([3.0, -1.0], [2.0, 0.1], (30, 6, 2)).astype(np.float32)
LENGTHS = RNG.integers(1, 7, 30)
LABELS = RNG.integers(0, 3, 30)


def classifier(weights="ternary", **options) -> SequenceClassifier:
    torch.manual_seed(4)
    model = SequenceClassifier(2, 3, (5,), weights=WEIGHTS.get(weights, weights), coupled=True, **options)
    model.standardize.set([3.0, -1.0], [2.0, 0.1])
    return model


def arrays(frozen: FrozenModel) -> list[np.ndarray]:
    found = [frozen.input_map.mean, frozen.input_map.gain]
    for layer in frozen.flat_layers:
        found += [layer.w_ih.packed, layer.w_hh.packed, layer.mult_ih, layer.mult_hh, layer.shift, layer.bias]
    return [*found, frozen.readout.weight.packed, frozen.readout.mult, frozen.readout.bias]


def same(a: FrozenModel, b: FrozenModel) -> bool:
    return len(arrays(a)) == len(arrays(b)) and all(map(np.array_equal, arrays(a), arrays(b)))


def test_map_takes_the_most_probable_weights():
    model = classifier()
    frozen = freeze(model)
    expected = model.layers[0].weight_ih_l0.mode().numpy()
    np.testing.assert_array_equal(frozen.flat_layers[0].w_ih.values, expected)
    np.testing.assert_array_equal(frozen.readout.weight.values, model.readout.weight.mode().numpy())
    assert same(frozen, freeze(model))


def test_sample_takes_the_draw_of_its_generator():
    model = classifier()
    a, b, c = (freeze(model, mode="sample", generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert same(a, b)
    assert not same(a, c)
    drawn = fix_weights(model, "sample", generator=torch.Generator().manual_seed(1))
    expected = drawn.layers[0].weight_hh_l0.mode().numpy()
    np.testing.assert_array_equal(a.flat_layers[0].w_hh.values, expected)
    state = torch.random.get_rng_state()
    freeze(model, mode="sample", generator=torch.Generator().manual_seed(1))
    assert torch.equal(state, torch.random.get_rng_state()), "a generator of one's own leaves the global one alone"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_standardization_is_folded_into_the_input_map(dtype):
    model = classifier(dtype=dtype)
    plain = copy.deepcopy(model)
    plain.standardize.set([0.0, 0.0], [1.0, 1.0])
    standardized = (X - np.float32([3.0, -1.0])) / np.float32([2.0, 0.1])
    raw, inner = freeze(model), freeze(plain)
    np.testing.assert_array_equal(raw.input_map.mean, np.float32([3.0, -1.0]))
    np.testing.assert_allclose(raw.input_map.gain * np.float32([2.0, 0.1]), inner.input_map.gain, rtol=1e-6)
    # Codes may differ by one where the two ways of rounding to float32 meet a half.
    assert np.abs(raw.quantize(X).astype(int) - inner.quantize(standardized)).max() <= 1
    assert not np.array_equal(raw.run(X), inner.run(X)), "sabotage: forgetting the standardization must show"


def test_inputs_without_data_reach_eight_deviations():
    frozen = freeze(classifier(), state_bits=8)
    limit = code_limit(8)
    edge = np.float32([3.0 + 2.0 * DEFAULT_INPUT_RANGE, -1.0 - 0.1 * DEFAULT_INPUT_RANGE])
    assert frozen.quantize(edge).tolist() == [limit, -limit]
    assert frozen.quantize(np.float32([3.0, -1.0])).tolist() == [0, 0]


@pytest.mark.parametrize("outlier", [0.0, 12.0])
def test_step_of_the_inputs_is_that_of_least_squared_error(outlier):
    """Clipping a rare outlier may cost less than a coarse step: neither neighbour of the chosen step is better."""
    x = np.random.default_rng(0).normal([3.0, -1.0], [2.0, 0.1], (30000, 2, 2)).astype(np.float32)
    x[0, 0, 0] += 2.0 * outlier
    frozen = freeze(classifier(), x, state_bits=8)
    values = (x.reshape(-1, 2).astype(float) - [3.0, -1.0]) / [2.0, 0.1]
    step = float(1 / (frozen.input_map.gain[0] * 2.0))

    def squared_error(step: float) -> float:
        return float(np.mean((np.clip(np.round(values / step), -127, 127) * step - values) ** 2))

    assert squared_error(step) < min(squared_error(step * 2**0.25), squared_error(step / 2**0.25))
    largest = np.abs(values).max()
    assert step <= 1.0001 * largest / 127
    if outlier:
        assert step < 0.9 * largest / 127, "the outlier should be clipped"


def test_constant_inputs_can_calibrate():
    frozen = freeze(classifier(), np.broadcast_to(np.float32([3.0, -1.0]), (2, 3, 2)))
    assert np.isfinite(frozen.input_map.gain).all()


@pytest.mark.parametrize("state_bits", [8, 13, 16])
def test_calibration_report_equals_a_manual_computation(state_bits):
    model = classifier()
    frozen = freeze(model, (X, LENGTHS, LABELS), state_bits=state_bits)
    data = Sequences.from_list([x[:n] for x, n in zip(X, LENGTHS, strict=True)], LABELS)
    expected = predict_logits(fix_weights(model), data).argmax(dim=-1).numpy()
    report = {"n_sequences": 30, "float_accuracy": np.mean(expected == LABELS)}
    for bits in (8, 16):
        predicted = freeze(model, (X, LENGTHS), state_bits=bits).predict(*data.padded())
        report[f"agreement_{bits}bit"] = np.mean(predicted == expected)
        report[f"accuracy_{bits}bit"] = np.mean(predicted == LABELS)
    assert dict(frozen.metadata["calibration"]) == pytest.approx(report)
    assert frozen.state_bits == state_bits
    assert 0.9 < report["agreement_16bit"] <= 1
    assert 0 < report["float_accuracy"] < 1, "a report of ones could not be wrong"


def test_calibration_without_labels_tells_no_accuracy():
    report = freeze(classifier(), (X, LENGTHS)).metadata["calibration"]
    assert set(report) == {"n_sequences", "agreement_8bit", "agreement_16bit"}


def test_nothing_is_reported_without_data():
    assert "calibration" not in freeze(classifier()).metadata
    assert "calibration" not in freeze(LSTM(2, 3, weights="ternary"), X).metadata


def test_every_form_of_data_means_the_same():
    model = classifier()
    rows = Sequences.from_list([x[:n] for x, n in zip(X, LENGTHS, strict=True)], LABELS)
    forms = [
        rows,
        (X, LENGTHS, LABELS),
        (X.tolist(), LENGTHS.tolist(), LABELS.tolist()),
        (torch.from_numpy(X), torch.from_numpy(LENGTHS), torch.from_numpy(LABELS)),
        (torch.from_numpy(X).requires_grad_(), LENGTHS, LABELS),
        (X.astype(np.float64), LENGTHS, LABELS),
    ]
    first, *others = (freeze(model, form) for form in forms)
    for other in others:
        assert same(first, other)
        assert other.metadata["calibration"] == first.metadata["calibration"]


def test_whole_sequences_need_no_lengths():
    full = np.full(30, 6)
    for form in (X, (X,), (X, None), torch.from_numpy(X), (X, full)):
        got = as_sequences(form)
        np.testing.assert_array_equal(got.padded()[0], X)
        assert got.labels is None
    np.testing.assert_array_equal(as_sequences((X, None, LABELS)).labels, LABELS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (X[0], r"expected sequences \(N, T, I\), got \(6, 2\)"),
        ((None,), "expected sequences .* got nothing"),
        ((X, LENGTHS, LABELS, LABELS), "a tuple of 4, expected"),
        ((), "a tuple of 0, expected"),
        ((X, LENGTHS[:5]), "expected 30 lengths from 1 to 6"),
        ((X, LENGTHS * 0), "expected 30 lengths from 1 to 6, got"),
        ((X, LENGTHS + 6), "expected 30 lengths from 1 to 6, got"),
        ((X, LENGTHS / 2), "expected 30 lengths from 1 to 6, got"),
        ((X, LENGTHS, LABELS[:4]), "labels has 4 entries for 30 sequences"),
    ],
)
def test_data_of_a_wrong_form_are_refused(data, message):
    with pytest.raises(ArgumentError, match=message):
        freeze(classifier(), data)


def test_data_that_are_not_finite_are_refused():
    broken = X.copy()
    broken[3, 1, 0] = np.nan
    with pytest.raises(DataError, match="sequence 3, step 1, feature 0 is nan"):
        freeze(classifier(), broken)


@pytest.mark.parametrize(
    ("make", "options", "error", "message"),
    [
        (lambda: QLLSTM(2, 3, skip="step"), {}, UnsupportedError, r"a step skip has no integer form.*skip='block'"),
        (lambda: QLLSTM(2, 3, block_size=40000), {}, UnsupportedError, "block_size=40000, at most 32767"),
        (lambda: LSTM(2, 3, proj_size=2), {}, UnsupportedError, r"proj_size has no integer form.*proj_size=0"),
        (
            lambda: nn.LSTM(2, 3),
            {},
            UnsupportedError,
            "freeze: LSTM, expected SequenceClassifier, LSTM, GRU, QLLSTM, GatedRNN or",
        ),
        (lambda: nn.Sequential(Linear(2, 3)), {}, UnsupportedError, "freeze: Sequential, expected"),
        (classifier, {"state_bits": 12}, ArgumentError, r"state_bits: 12, expected one of \(8, 13, 16\)"),
        (classifier, {"mode": "mean"}, ArgumentError, "mode: 'mean', expected 'map' or 'sample'"),
    ],
)
def test_what_cannot_be_frozen_is_refused(make, options, error, message):
    with pytest.raises(error, match=message):
        freeze(make(), **options)


@pytest.mark.parametrize("training", [True, False])
def test_model_is_left_alone(training):
    model = classifier().train(training)
    before = copy.deepcopy(model.state_dict())
    freeze(model, (X, LENGTHS, LABELS), mode="sample")
    assert model.training is training
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) and before[k].dtype == after[k].dtype for k in before)
    assert all(p.requires_grad for p in model.parameters())


def test_training_on_does_not_change_what_is_frozen():
    model = classifier("continuous")
    frozen = freeze(model)
    before = frozen.run(X)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    model.standardize.set([0.0, 0.0], [1.0, 1.0])
    np.testing.assert_array_equal(frozen.run(X), before)
    assert before.any()


def modules_in(value, seen) -> set[str]:
    """Top-level packages of the types of everything reachable from a value."""
    if id(value) in seen:
        return set()
    seen[id(value)] = value
    found = {type(value).__module__.split(".")[0]}
    children = list(getattr(value, "__dict__", {}).values())
    if hasattr(value, "keys"):
        children += [*value.keys(), *(value[key] for key in value.keys())]  # noqa: SIM118 (a mappingproxy)
    elif isinstance(value, tuple | list | set):
        children += list(value)
    return found.union(*(modules_in(child, seen) for child in children))


@pytest.mark.parametrize("weights", ["ternary", "continuous"])
def test_nothing_of_torch_is_left(weights):
    frozen = freeze(classifier(weights), (X, LENGTHS, LABELS))
    assert "torch" in modules_in([torch.ones(1)], {}), "the search must be able to find torch"
    assert modules_in(frozen, {}) == {"bitgate", "builtins", "numpy"}
    parts = (frozen.layers, frozen.readout, frozen.input_map, dict(frozen.metadata))
    assert b"torch" not in pickle.dumps(parts)


@pytest.mark.parametrize("weights", sorted(WEIGHTS))
def test_weights_keep_their_levels(weights):
    layer = Linear(9, 8, weights=WEIGHTS[weights])
    frozen = freeze(layer)
    fixed = fix_weights(layer)
    values = frozen.readout.weight.values
    if weights in ("continuous", "gaussian"):
        matrix = fixed.weight.mode() if weights == "gaussian" else fixed.weight.detach()
        assert (np.abs(values).max(axis=1) == 127).all(), "8-bit integers use their range in every row"
        unit = np.abs(matrix.numpy()).max(axis=1, keepdims=True) / 127
        assert np.abs(values * unit - matrix.numpy()).max() <= 0.5001 * unit.max()
        return
    assert len(frozen.readout.weight.levels) == len(layer.weight.levels)
    unit = integer_levels(layer.weight.levels)[1]
    np.testing.assert_allclose(values * unit, fixed.weight.mode().numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("levels", "integers", "unit"),
    [
        ((-1.0, 1.0), [-1, 1], 1.0),
        ((-1.0, 0.0, 1.0), [-1, 0, 1], 1.0),
        ((-1.0, -1 / 3, 1 / 3, 1.0), [-3, -1, 1, 3], 1 / 3),
        ((-0.5, 0.25, 0.5), [-2, 1, 2], 0.25),
        ((0.0, 7.0), [0, 1], 7.0),
        ((-3.0, 2.0), [-3, 2], 1.0),
        ((-1.0, 0.99), [-100, 99], 0.01),
        ((-1.0, 2**-0.5, 1.0), [-127, 90, 127], 1 / 127),
    ],
)
def test_levels_become_the_smallest_integers_in_their_ratio(levels, integers, unit):
    got, real = integer_levels(levels)
    assert got.dtype == np.int8
    assert got.tolist() == integers
    assert real == pytest.approx(unit)


def test_biases_that_act_as_a_sum_are_summed():
    torch.manual_seed(0)
    lstm, gru = LSTM(2, 3), GRU(2, 3)
    doubled = np.repeat([1.0, 1.0, 2.0, 1.0], 3)
    total = (lstm.bias_ih_l0 + lstm.bias_hh_l0).detach().double().numpy() * doubled
    np.testing.assert_array_equal(freeze(lstm).flat_layers[0].bias, np.round(total * 32768))
    layer = freeze(gru).flat_layers[0]
    np.testing.assert_array_equal(layer.bias_hn, np.round(gru.bias_hh_l0[6:].detach().double().numpy() * 2 * 32768))
    candidate = gru.bias_ih_l0[6:].detach().double().numpy() * 2
    np.testing.assert_array_equal(layer.bias[6:], np.round(candidate * 32768))


@pytest.mark.parametrize(
    ("bits", "largest", "unit"),
    [
        (16, 7.9, 1),
        (13, 7.9, 8),
        (8, 7.9, 8),
        (13, 8 - 2**-12, 8),  # 32767 in Q12
        (13, -8.0, 8),
        (13, 8 - 2**-13, 1),  # rounds to 32768, which no int16 holds: then none of the layer is rounded
        (8, -8 - 2**-12, 1),
    ],
)
def test_biases_of_coupled_layers_with_few_bits_are_whole_units_of_q12_where_they_fit(bits, largest, unit):
    torch.manual_seed(0)
    module = LSTM(2, 3, coupled=True)
    with torch.no_grad():
        module.bias_l0.uniform_(-1.0, 1.0)
        module.bias_l0[1] = largest
    total = module.bias_l0.detach().double().numpy() * np.repeat([1.0, 2.0, 1.0], 3) * 32768
    layer = freeze(module, state_bits=bits).flat_layers[0]
    np.testing.assert_array_equal(layer.bias, np.round(total / unit) * unit)
    assert (np.gcd.reduce(layer.bias) % 8 == 0) == (unit == 8)
    assert layer.has_short_biases == (unit == 8)


@pytest.mark.parametrize("module", [LSTM(2, 3), GRU(2, 3)], ids=["lstm", "gru"])
def test_biases_of_other_cells_are_those_of_any_bits(module):
    few, many = (freeze(module, state_bits=bits).flat_layers[0] for bits in (8, 16))
    np.testing.assert_array_equal(few.bias, many.bias)
    if few.bias_hn is not None:
        np.testing.assert_array_equal(few.bias_hn, many.bias_hn)


def test_directions_and_layers_keep_their_places():
    torch.manual_seed(0)
    module = LSTM(2, 3, num_layers=2, bidirectional=True, weights="ternary")
    frozen = freeze(module)
    assert [[layer.reverse for layer in directions] for directions in frozen.layers] == [[False, True]] * 2
    suffixes = ["_l0", "_l0_reverse", "_l1", "_l1_reverse"]
    for suffix, layer in zip(suffixes, frozen.flat_layers, strict=True):
        expected = getattr(module, "weight_hh" + suffix).mode().numpy()
        np.testing.assert_array_equal(layer.w_hh.values, expected)


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "ql_lstm"},
        {"cell": "gru", "sharing": "psug2"},
        {"cell": "gated_rnn"},
        {"cell": "ql_lstm", "skip": None},
    ],
    ids=str,
)
def test_bits_are_counted_as_in_torch(options):
    model = SequenceClassifier(4, 10, (8, 6), weights="ternary", **options)
    counted, cost = count_bits(model), freeze(model).cost()
    assert (cost.n_weights, cost.n_biases, cost.n_scales) == (counted.n_weights, counted.n_biases, counted.n_scales)
    assert cost.paper_bits == counted.paper_bits
