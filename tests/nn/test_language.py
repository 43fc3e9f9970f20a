"""Language models: the state goes on over any cut, ties, and what is refused."""

import pytest
import torch

from bitgate.errors import ArgumentError, ShapeError
from bitgate.nn import LanguageModel, detach

CELLS = [
    {"cell": "lstm"},
    {"cell": "gru"},
    {"cell": "ql_lstm", "block_size": 4},
    {"cell": "ql_lstm", "skip": "step", "weights": "ternary"},
]


@pytest.mark.parametrize("options", CELLS)
@pytest.mark.parametrize("cut", [1, 6])
def test_a_carried_state_gives_what_the_whole_gives(options, cut):
    torch.manual_seed(0)
    model = LanguageModel(20, (5, 6), embedding_size=4, **options).eval()
    tokens = torch.randint(20, (3, 11))
    whole, _ = model(tokens)
    first, state = model(tokens[:, :cut])
    second, _ = model(tokens[:, cut:], detach(state))
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=1e-5, atol=1e-6)
    forgotten, _ = model(tokens[:, cut:])
    assert not torch.allclose(forgotten, whole[:, cut:], atol=1e-4)


def test_no_gradient_flows_through_a_detached_state():
    model = LanguageModel(9, (4,), embedding_size=4, cell="ql_lstm", block_size=2)
    state = model(torch.randint(9, (2, 3)))[1]
    (gradient,) = torch.autograd.grad(state[0][0].sum(), model.embedding.weight, retain_graph=True)
    assert gradient.abs().sum() > 0
    assert all(not part.requires_grad for part in (*detach(state)[0], detach(state)[0].anchor))


def test_predictions_do_not_see_what_they_predict():
    model = LanguageModel(9, (4,), embedding_size=4).eval()
    tokens = torch.randint(9, (1, 8))
    changed = tokens.clone()
    changed[0, 5] = (changed[0, 5] + 1) % 9
    a, b = model(tokens)[0], model(changed)[0]
    assert torch.equal(a[:, :5], b[:, :5])
    assert not torch.equal(a[:, 5:], b[:, 5:])


def test_tied_weights_are_one_parameter():
    free, tied = (LanguageModel(30, (8,), embedding_size=8, tied=tied) for tied in (False, True))
    assert tied.readout.weight is tied.embedding.weight
    count = [sum(p.numel() for p in model.parameters()) for model in (free, tied)]
    assert count[0] - count[1] == 30 * 8


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"bidirectional": True}, "must not see"),
        ({"tied": True, "embedding_size": 7}, "tied: the last layer has 8 units"),
        ({"embedding_size": 0}, "embedding_size"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(options, match):
    with pytest.raises(ArgumentError, match=match):
        LanguageModel(30, (8,), **options)


def test_tokens_and_states_that_do_not_fit_are_refused():
    model = LanguageModel(9, (4,), embedding_size=4)
    with pytest.raises(ShapeError, match="tokens: expected integers"):
        model(torch.zeros(1, 2))
    with pytest.raises(ShapeError, match="state: expected that of 1 layers, got 2"):
        model(torch.zeros(1, 2, dtype=torch.long), (None, None))
