"""The text classifier: an embedding in front of the classifier, nothing else."""

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from bitgate.errors import ArgumentError
from bitgate.nn import TextClassifier, count_bits

TOKENS = torch.tensor([[3, 1, 4, 1, 5], [2, 7, 1, 8, 2]])


@pytest.mark.parametrize("cell", ["lstm", "gru", "ql_lstm", "gated_rnn"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_it_is_the_classifier_of_the_embedded_tokens(cell, bidirectional):
    model = TextClassifier(9, 3, (6, 5), embedding_size=4, cell=cell, bidirectional=bidirectional)
    lengths = torch.tensor([5, 3])
    expected = model.classifier(model.embedding(TOKENS), lengths)
    for x in (TOKENS, TOKENS.unsqueeze(-1), TOKENS.unsqueeze(-1).float()):
        assert torch.equal(model(x, lengths), expected)
    expected.sum().backward()
    assert model.embedding.weight.grad[[0, 6]].abs().sum() == 0, "tokens that do not occur"
    assert model.embedding.weight.grad[[3, 1, 4]].abs().min() > 0


def test_padding_is_ignored():
    model = TextClassifier(9, 3, (6,), embedding_size=4, cell="ql_lstm", weights="ternary").eval()
    changed = TOKENS.clone()
    changed[1, 3:] = 0
    lengths = torch.tensor([5, 3])
    assert torch.equal(model(TOKENS, lengths), model(changed, lengths))
    assert not torch.equal(model(TOKENS)[1], model(changed)[1])


def test_parameters_are_counted():
    model = TextClassifier(9, 3, (6,), embedding_size=4, coupled=True)
    assert count_bits(model).n_weights == 9 * 4 + 3 * 6 * (4 + 6) + 3 * 6
    assert count_bits(model).n_parameters == sum(p.numel() for p in model.parameters())


def test_refusals():
    model = TextClassifier(9, 3)
    with pytest.raises(ArgumentError, match="x: a PackedSequence, expected padded token numbers"):
        model(pack_padded_sequence(TOKENS, torch.tensor([5, 3]), batch_first=True))
    with pytest.raises(ArgumentError, match="vocabulary_size: 0"):
        TextClassifier(0, 3)
