"""QLLSTM: a drop-in without its options, its states, its bounds, its parameters; GRU and GatedRNN with shared gates."""

import copy
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from bitgate.errors import ArgumentError, ShapeError, UnsupportedError
from bitgate.nn import GRU, LSTM, QLLSTM, GatedRNN, QLState, SequenceClassifier, count_bits, fix_weights, to_torch
from bitgate.weights import TERNARY, Categorical, Quantized
from tests.nn.cases import BACKENDS, Case, assert_same, backend, cases, make_inputs, run
from tests.tolerances import EXACT, FLOAT64_PARITY, assert_near

F64 = torch.float64


def plain(case: Case, theirs: nn.Module) -> QLLSTM:
    ours = QLLSTM(**case.arguments, dtype=F64, sharing="none", skip=None)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours.train(case.training)


@settings(max_examples=30)
@given(case=cases("LSTM").map(lambda case: Case(**vars(case) | {"proj_size": 0})))
def test_without_sharing_and_skip_it_is_torchs_lstm(case: Case) -> None:
    theirs = case.theirs()
    ours, leaves = plain(case, theirs), make_inputs(case)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    expected = run(theirs, case, leaves)
    for name in BACKENDS:
        with backend(name):
            assert_same(run(ours, case, leaves), expected, FLOAT64_PARITY)


def test_swapped_gates_are_noticed() -> None:
    case = Case()
    theirs = case.theirs()
    ours, leaves = plain(case, theirs), make_inputs(case)
    with torch.no_grad():
        ours.weight_hh_l0.copy_(ours.weight_hh_l0.roll(case.hidden_size, 0))
    with pytest.raises(AssertionError, match="output differs"):
        assert_same(run(ours, case, leaves), run(theirs, case, leaves), FLOAT64_PARITY)


# Shared gates are ordinary gates whose weights are W_g = gate_scale_g * W_map(g).


def shared_modules(kind: str, sharing: Any, **options: Any) -> tuple[Any, Any]:
    """A module with shared gates, and one without whose weights are expanded by hand."""
    torch.manual_seed(3)
    make: Callable[..., Any] = {"LSTM": QLLSTM, "GRU": GRU, "GatedRNN": GatedRNN}[kind]
    options |= {"skip": None} if kind == "LSTM" else {}
    shared = make(3, 4, num_layers=2, bidirectional=True, dtype=F64, sharing=sharing, **options)
    ordinary = make(3, 4, num_layers=2, bidirectional=True, dtype=F64, **options | {"sharing": "none"})
    with torch.no_grad():
        for name, parameter in shared.named_parameters():
            if name.startswith("gate_scale"):
                parameter.copy_(1 + torch.randn_like(parameter))
    ordinary.load_state_dict(expand(shared, ordinary), strict=True)
    return shared, ordinary


def expand(shared: Any, ordinary: Any) -> dict[str, Tensor]:
    state = {}
    for name, like in ordinary.state_dict().items():
        suffix = name[name.index("_l") :]
        if name.startswith("weight"):
            blocks = getattr(shared, name).split(shared.hidden_size)
            scales = getattr(shared, "gate_scale" + suffix).split(shared.hidden_size)
            pairs = zip(scales, shared.recurrence.sharing, strict=True)
            state[name] = torch.cat([scale[:, None] * blocks[p] for scale, p in pairs])
        elif hasattr(shared, name):
            state[name] = getattr(shared, name)
        else:
            state[name] = getattr(shared, "bias" + suffix) if "bias_ih" in name else torch.zeros_like(like)
    return {name: value.detach() for name, value in state.items()}


MAPS: list[tuple[str, Any, dict[str, Any]]] = [
    ("LSTM", "psug2", {}),
    ("LSTM", "psug1", {"gates": {"o": 2}}),
    ("LSTM", {"i": 0, "f": 1, "g": 2, "o": 1}, {}),
    ("LSTM", "psug2", {"coupled": True}),
    ("GRU", "psug2", {}),
    ("GRU", "psug1", {"gates": {"n": 3}}),
    ("GatedRNN", "psug2", {}),
    ("GatedRNN", "psug1", {}),
]


@pytest.mark.parametrize(("kind", "sharing", "options"), MAPS)
@pytest.mark.parametrize("name", ["auto", "reference"])
def test_shared_gates_are_ordinary_gates_with_expanded_weights(
    kind: str, sharing: Any, options: dict[str, Any], name: str
) -> None:
    shared, ordinary = shared_modules(kind, sharing, **options)
    x = torch.randn(6, 3, 3, dtype=F64)
    lengths = torch.tensor([4, 6, 1])
    with backend(name):
        output = shared(x, lengths=lengths)[0]
    assert_near(output, ordinary(x, lengths=lengths)[0], FLOAT64_PARITY, "output")
    with torch.no_grad():
        shared.gate_scale_l0[shared.hidden_size] += 0.5  # f, z or n: no staircase of the others hides it
    with pytest.raises(AssertionError, match="output differs"), backend(name):
        assert_near(shared(x, lengths=lengths)[0], output, FLOAT64_PARITY, "output")


# The state.

SKIPS = [{"skip": "block", "block_size": 3}, {"skip": "step"}, {"skip": None}]


@pytest.mark.parametrize("options", SKIPS)
@pytest.mark.parametrize("form", ["time first", "batch first", "unbatched"])
def test_any_chunking_equals_the_whole(options: dict[str, Any], form: str) -> None:
    axis = 1 if form == "batch first" else 0
    module = QLLSTM(2, 4, num_layers=2, batch_first=form == "batch first", dtype=F64, **options)
    x = torch.randn(*{"time first": (11, 3), "batch first": (3, 11), "unbatched": (11,)}[form], 2, dtype=F64)
    whole, last = module(x)
    for sizes in ([1, 4, 6], [5, 6], [1] * 11):
        state, pieces = None, []
        for piece in x.split(sizes, axis):
            output, state = module(piece, state)
            state = pickle.loads(pickle.dumps(state.detach()))
            pieces.append(output)
        assert state is not None
        assert_near(torch.cat(pieces, axis), whole, FLOAT64_PARITY, "output")
        for name, value in zip("hc", last, strict=True):
            assert_near(state["hc".index(name)], value, FLOAT64_PARITY, name)
        if options["skip"] == "block":
            assert_near(state.anchor, last.anchor, FLOAT64_PARITY, "anchor")
            assert_near(state.position, last.position, EXACT, "position")
            assert set(last.position.flatten().tolist()) == {11 % 3}
        else:
            assert (state.anchor, state.position) == (None, None)


def test_a_plain_pair_begins_a_new_block() -> None:
    module = QLLSTM(2, 4, block_size=3, dtype=F64)
    x = torch.randn(5, 2, 2, dtype=F64)
    _, state = module(x[:2])
    continued, begun = module(x[2:], state)[0], module(x[2:], tuple(state))[0]
    assert_near(continued, module(x)[0][2:], FLOAT64_PARITY, "output")
    with pytest.raises(AssertionError, match="output differs"):
        assert_near(begun, continued, FLOAT64_PARITY, "output")


@pytest.mark.parametrize("options", SKIPS)
@pytest.mark.parametrize("form", ["lengths", "packed"])
def test_padding_never_reaches_a_state(options: dict[str, Any], form: str) -> None:
    """Ends lie inside blocks and on their borders; the padding is NaN."""
    module = QLLSTM(2, 4, num_layers=2, bidirectional=True, dtype=F64, **options)
    lengths = torch.tensor([4, 9, 3, 1])
    x = torch.randn(9, 4, 2, dtype=F64)
    dirty = x.masked_fill((torch.arange(9)[:, None] >= lengths)[..., None], float("nan"))
    if form == "lengths":
        _, state = module(dirty, lengths=lengths)
    else:
        output, state = module(pack_padded_sequence(dirty, lengths, enforce_sorted=False))
        assert isinstance(output, PackedSequence)
    sum(part.sum() for part in state).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
    for row, length in enumerate(lengths.tolist()):
        _, alone = module(x[:length, row])
        for name, index in (("h_n", 0), ("c_n", 1)):
            assert_near(state[index][:, row], alone[index], FLOAT64_PARITY, name)
        if state.anchor is not None:
            assert_near(state.anchor[:, row], alone.anchor, FLOAT64_PARITY, "anchor")
            assert_near(state.position[:, row], alone.position, EXACT, "position")


def test_a_state_that_does_not_fit_is_refused() -> None:
    module = QLLSTM(2, 4, block_size=3)
    x, (h, c) = torch.zeros(5, 3, 2), torch.zeros(2, 1, 3, 4)
    for state, message in (
        (QLState(h, c, h[..., :2], torch.zeros(1, 3, dtype=torch.int64)), "anchor: expected shape (1, 3, 4)"),
        (QLState(h, c, h, torch.zeros(1, 2, dtype=torch.int64)), "position: expected shape (1, 3)"),
    ):
        with pytest.raises(ShapeError, match=re.escape(message)):
            module(x, state)
    with pytest.raises(ArgumentError, match=re.escape("position: expected 0 to 2 (block_size - 1), got [[3, 3, 3]]")):
        module(x, QLState(h, c, h, torch.full((1, 3), 3)))
    with pytest.raises(ArgumentError, match=re.escape("hx: expected the pair (h_0, c_0)")):
        module(x, h)


# Bounds over 10,000 steps, with the largest weights and saturated gates.


def run_long(module: QLLSTM, steps: int = 10_000) -> Tensor:
    x = torch.randn(100, 2, 2, dtype=F64)
    state, largest = None, []
    with torch.no_grad():
        for _ in range(steps // 100):
            output, state = module(x, state)
            largest.append(output.abs().max())
    return torch.stack(largest)


@pytest.mark.parametrize("gain", [1.0, 30.0])
@pytest.mark.parametrize("options", [{"skip": "block"}, {"skip": "step"}, {"skip": "block", "coupled": True}])
def test_the_state_stays_bounded_for_10000_steps(options: dict[str, Any], gain: float) -> None:
    module = QLLSTM(2, 8, forget_bias=3.0, dtype=F64, **options)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.startswith("weight"):
                parameter.mul_(gain)
    alpha = module.alpha("_l0")
    assert alpha is not None
    assert float(run_long(module).max()) <= 1 / (1 - float(alpha.detach())) + 1e-9


def test_a_fixed_skip_of_one_grows_by_at_most_one_a_block() -> None:
    found = run_long(QLLSTM(2, 8, skip_scale=1.0, block_size=16, forget_bias=3.0, dtype=F64))
    assert found.isfinite().all()
    assert (found <= torch.arange(1, len(found) + 1) * 100 / 16 + 1).all()


def test_the_raw_step_skip_warns_and_diverges() -> None:
    with pytest.warns(UserWarning, match="step-raw.*grows without bound wherever f \\+ alpha > 1") as caught:
        raw = QLLSTM(2, 8, skip="step-raw", skip_scale=0.1, forget_bias=3.0, dtype=F64)
    assert caught[0].filename == __file__
    assert float(run_long(raw, 500).max()) > 1e9
    bounded = QLLSTM(2, 8, skip="step", skip_scale=0.1, forget_bias=3.0, dtype=F64)
    bounded.load_state_dict(raw.state_dict())
    assert float(run_long(bounded, 500).max()) <= 1 / 0.9


# Parameters.


def test_parameter_counts_of_the_recurrent_part() -> None:
    """The issue's sizes: weights, one bias and one scale a gate's unit against nn.LSTM's weights and two biases."""
    counts = {
        name: sum(p.numel() for p in QLLSTM(512, 512, sharing=name, skip=None).parameters())
        for name in ("none", "psug2", "psug1")
    }
    assert counts["none"] == sum(p.numel() for p in nn.LSTM(512, 512).parameters()) == 2_101_248
    assert counts["psug2"] == 2 * 512 * 1024 + 4 * 512 + 4 * 512 == 1_052_672
    assert counts["psug1"] == 512 * 1024 + 4 * 512 + 4 * 512
    assert 0.49 < 1 - counts["psug2"] / counts["none"] < 0.50
    assert 0.74 < 1 - counts["psug1"] / counts["none"] < 0.75
    sizes = [sum(p.numel() for p in QLLSTM(512, 512, skip_per_unit=each).parameters()) for each in (False, True)]
    assert sizes == [1_052_672 + 1, 1_052_672 + 512]


def test_bits_count_shared_weights_once_and_scales_apart() -> None:
    count = count_bits(QLLSTM(3, 5, weights="ternary"))
    assert (count.n_weights, count.n_biases, count.n_scales) == (2 * 5 * 8, 4 * 5, 4 * 5 + 1)
    assert count.paper_bits == 2 * 80 + 32 * 20
    assert count_bits(QLLSTM(3, 5, skip_scale=1.0)).n_scales == 4 * 5
    assert count_bits(GRU(3, 5, sharing="psug1")).n_biases == 4 * 5
    assert count_bits(GatedRNN(3, 5)).n_biases == 2 * 5


def test_names_and_starting_values() -> None:
    shapes = {name: tuple(value.shape) for name, value in QLLSTM(3, 4, skip_per_unit=True).state_dict().items()}
    assert shapes == {
        "weight_ih_l0": (8, 3),
        "weight_hh_l0": (8, 4),
        "bias_l0": (16,),
        "gate_scale_l0": (16,),
        "skip_logit_l0": (4,),
    }
    assert_near(QLLSTM(3, 4).gate_scale_l0.detach(), torch.ones(16), EXACT)
    ternary = QLLSTM(12, 4, weights="ternary")
    assert_near(ternary.gate_scale_l0.detach(), torch.full((16,), 0.5), EXACT)
    assert not hasattr(ternary, "log_scale_l0")
    assert QLLSTM(3, 4).alpha("_l0") == 0.5
    assert QLLSTM(3, 4, skip_scale=1).alpha("_l0") == 1
    assert QLLSTM(3, 4, skip=None).alpha("_l0") is None


@pytest.mark.parametrize("make", [LSTM, QLLSTM])
def test_forget_bias(make: Any) -> None:
    module = make(3, 4, forget_bias=3.0)
    total = sum(getattr(module, name + "_l0") for name in module._bias_names())
    assert_near(total[4:8].detach(), torch.full((4,), 3.0), EXACT)
    assert (total[:4] != 3).all()
    module.reset_parameters()
    total = sum(getattr(module, name + "_l0") for name in module._bias_names())
    assert_near(total[4:8].detach(), torch.full((4,), 3.0), EXACT)
    coupled = make(3, 4, coupled=True, forget_bias=3.0)
    assert_near(coupled.bias_l0[:4].detach(), torch.full((4,), -3.0), EXACT)
    with pytest.raises(ArgumentError, match=r"forget_bias: 3\.0, but bias=False"):
        make(3, 4, bias=False, forget_bias=3.0)
    with pytest.raises(ArgumentError, match="forget_bias: 'high', expected a finite number"):
        make(3, 4, forget_bias="high")


def test_reset_parameters_draws_weights_and_sets_factors_back() -> None:
    module = QLLSTM(3, 4)
    before = copy.deepcopy(module.state_dict())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(9.0)
    module.reset_parameters()
    for name, value in module.state_dict().items():
        assert value.abs().max() <= 1
        assert torch.equal(value, before[name]) == name.startswith(("gate_scale", "skip_logit"))


# Discrete weights and gates, precision, copies.


@pytest.mark.parametrize("weights", ["ternary", Quantized(TERNARY), Categorical(trick="lr")])
@pytest.mark.parametrize(
    "make",
    [
        lambda **o: QLLSTM(3, 4, **o),
        lambda **o: GRU(3, 4, sharing="psug2", **o),
        lambda **o: GatedRNN(3, 4, sharing="psug1", **o),
        lambda **o: GatedRNN(3, 4, **o),
    ],
)
def test_discrete_weights_train_and_have_a_mode(make: Any, weights: Any) -> None:
    module = make(weights=weights)
    x = torch.randn(35, 3, 3)  # the first anchor is 0: alpha matters from the second block on
    module(x)[0].square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in module.parameters())
    fixed = fix_weights(module)
    assert_near(fixed(x)[0], module.eval()(x)[0], EXACT)


def test_copies_compute_the_same() -> None:
    module = QLLSTM(3, 4, block_size=2, gates={"o": 2}, coupled=True)
    x = torch.randn(7, 3, 3)
    other = QLLSTM(3, 4, block_size=2, gates={"o": 2}, coupled=True)
    other.load_state_dict(module.state_dict())
    expected = module(x)[0]
    for twin in (copy.deepcopy(module), other):
        assert_near(twin(x)[0], expected, EXACT)


def test_the_representation_tells_the_options() -> None:
    text = repr(QLLSTM(3, 4, block_size=8, skip_scale=1.0))
    assert "sharing={'i': 0, 'f': 0, 'g': 1, 'o': 0}" in text
    assert "skip='block', block_size=8" in text
    assert "skip_scale=1.0" in text
    assert repr(QLLSTM(3, 4, sharing="none", skip=None)) == "QLLSTM(3, 4)"


def test_autocast_and_float64() -> None:
    module, x = QLLSTM(3, 4, block_size=2), torch.randn(5, 2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, state = module(x)
    assert output.dtype == torch.float32  # the scales are, and so are the states
    assert state.anchor.dtype == torch.float32
    assert (output - module(x)[0]).abs().max() < 0.02
    assert module.double()(x.double())[0].dtype == F64


@settings(max_examples=20)
@given(seed=st.integers(0, 99), block=st.integers(1, 4), coupled=st.booleans())
def test_gradients_are_finite_differences(seed: int, block: int, coupled: bool) -> None:
    torch.manual_seed(seed)
    module = QLLSTM(2, 2, block_size=block, coupled=coupled, skip_per_unit=True, dtype=F64)
    names = [name for name, _ in module.named_parameters()]
    x = torch.randn(5, 1, 2, dtype=F64)

    def outputs(*values: Tensor) -> Tensor:
        with backend("reference"):
            return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (x,))[0]

    assert torch.autograd.gradcheck(outputs, tuple(module.parameters()))


# The classifier, and what is refused.


@pytest.mark.parametrize("cell", ["ql_lstm", "gru", "gated_rnn"])
def test_classifier_of_any_cell_ignores_padding(cell: Any) -> None:
    torch.manual_seed(1)
    options = {"skip": "block", "block_size": 3} if cell == "ql_lstm" else {}
    model = SequenceClassifier(2, 3, (4, 4), cell=cell, sharing="psug2", bidirectional=True, dtype=F64, **options)
    x, lengths = torch.randn(3, 7, 2, dtype=F64), torch.tensor([2, 7, 6])
    dirty = x.masked_fill((torch.arange(7) >= lengths[:, None])[..., None], float("nan"))
    logits = model(dirty, lengths)
    for row, length in enumerate(lengths.tolist()):
        assert_near(model(x[row : row + 1, :length])[0], logits[row], FLOAT64_PARITY, "logits")


def test_classifier_defaults_by_cell() -> None:
    def layer(**options: Any) -> Any:
        return SequenceClassifier(2, 3, (4,), **options).layers[0]

    assert layer(cell="ql_lstm").sharing == {"i": 0, "f": 0, "g": 1, "o": 0}
    assert layer(cell="ql_lstm").recurrence.skip.block_size == 16
    assert layer(cell="ql_lstm", skip="none", sharing="psug1").recurrence.skip is None
    assert layer(cell="gru").sharing == "none"
    assert type(layer(cell="lstm")) is LSTM
    assert layer(cell="lstm", forget_bias=3.0).forget_bias == 3.0


REFUSALS: list[tuple[Callable[[], Any], str]] = [
    (lambda: QLLSTM(2, 4, proj_size=2), "proj_size: 2, but a QLLSTM has no projection"),
    (lambda: QLLSTM(2, 4, sharing="half"), "sharing: 'half', expected one of"),
    (lambda: QLLSTM(2, 4, skip="blocks"), "skip: 'blocks', expected one of block, step, step-raw, none"),
    (lambda: QLLSTM(2, 4, block_size=0), "block_size: 0, expected an integer of at least 1"),
    (lambda: QLLSTM(2, 4, skip_scale=1.5), "skip_scale: 1.5, expected a number above 0 and at most 1"),
    (lambda: QLLSTM(2, 4, skip_scale=0), "skip_scale: 0, expected a number above 0"),
    (lambda: QLLSTM(2, 4, skip=None, skip_scale=0.5), "skip_scale: 0.5, but there is no skip"),
    (lambda: SequenceClassifier(2, 3, sharing="psug2"), "sharing: 'psug2', but cell='lstm' has none"),
    (lambda: SequenceClassifier(2, 3, skip="block"), "skip: 'block', but cell='lstm' has none; use cell='ql_lstm'"),
    (lambda: SequenceClassifier(2, 3, cell="gru", forget_bias=1.0), "forget_bias: 1.0, but cell='gru' has no forget"),
    (
        lambda: SequenceClassifier(2, 3, cell="gated_rnn", coupled=True),
        "coupled: the gate of a gated RNN is coupled already",
    ),
]


@pytest.mark.parametrize(("make", "message"), REFUSALS, ids=[message for _, message in REFUSALS])
def test_a_wrong_argument_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make()


def test_torch_has_no_shared_gates() -> None:
    for module, message in ((GRU(2, 3, sharing="psug2"), "no shared gates"), (QLLSTM(2, 3), "QLLSTM, expected")):
        with pytest.raises(UnsupportedError, match=message):
            to_torch(module)  # type: ignore[arg-type]
