"""Every refusal names the argument, the value that was found and what would have been right."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from bitgate.errors import ArgumentError, BitgateError, ShapeError
from bitgate.nn import GRU, LSTM, Linear, SequenceClassifier, Standardize

PACKED = pack_sequence([torch.zeros(3, 2), torch.zeros(1, 2)])
X = torch.zeros(5, 3, 2)  # (T, B, I)
Make = Callable[[], Any]

ARGUMENTS: list[tuple[Make, str]] = [
    (lambda: LSTM(0, 4), "input_size: 0, expected an integer of at least 1"),
    (lambda: LSTM(2.0, 4), "input_size: 2.0, expected an integer of at least 1"),  # type: ignore[arg-type]
    (lambda: LSTM(2, -4), "hidden_size: -4, expected an integer of at least 1"),
    (lambda: LSTM(2, True), "hidden_size: True, expected an integer of at least 1"),
    (lambda: LSTM(2, 4, 0), "num_layers: 0, expected an integer of at least 1"),
    (lambda: LSTM(2, 4, proj_size=4), "proj_size: 4, expected less than hidden_size=4 (0 for none)"),
    (lambda: LSTM(2, 4, proj_size=-1), "proj_size: -1, expected an integer of at least 0"),
    (lambda: LSTM(2, 4, 2, dropout=1.5), "dropout: 1.5, expected a probability from 0 to 1"),
    (lambda: LSTM(2, 4, 2, dropout=True), "dropout: True, expected a probability from 0 to 1"),
    (lambda: LSTM(2, 4, 2, dropout="0.1"), "dropout: '0.1', expected a probability from 0 to 1"),  # type: ignore[arg-type]
    (lambda: LSTM(2, 4, weights="int8"), "weights: 'int8', expected one of"),
    (lambda: LSTM(2, 4, gates={"z": 2}), "gates: this cell has no gate 'z'; its gates are i, f, g, o"),
    (lambda: LSTM(2, 4, gates={"f": 2}, coupled=True), "no gate 'f' (a coupled cell computes f as 1 - i)"),
    (lambda: GRU(2, 4, gates={"o": 2}), "gates: this cell has no gate 'o'; its gates are r, z, n"),
    (lambda: GRU(2, 4, gates={"z": 1}), "gates: z=1, expected a level count from 2 to 256"),
    (lambda: Linear(0, 4), "in_features: 0, expected an integer of at least 1"),
    (lambda: Linear(2, None), "out_features: None, expected an integer of at least 1"),  # type: ignore[arg-type]
    (lambda: SequenceClassifier(-1, 3), "input_size: -1, expected an integer of at least 1"),
    (lambda: SequenceClassifier(2, 0), "n_classes: 0, expected an integer of at least 1"),
    (lambda: SequenceClassifier(2, 3, ()), "hidden_sizes: (), expected the units of at least one layer"),
    (lambda: SequenceClassifier(2, 3, 64), "hidden_sizes: 64, expected the units of at least one layer"),  # type: ignore[arg-type]
    (lambda: SequenceClassifier(2, 3, (4, 0)), "hidden_size: 0, expected an integer of at least 1"),
    (lambda: SequenceClassifier(2, 3, cell="rnn"), "cell: 'rnn', expected one of lstm, gru, ql_lstm, gated_rnn"),  # type: ignore[arg-type]
    (lambda: SequenceClassifier(2, 3, cell="gru", coupled=True), "coupled: a GRU's update gate is coupled already"),
    (lambda: SequenceClassifier(2, 3, dropout=1.0), "dropout: 1.0, expected a probability from 0 to below 1"),
    (lambda: SequenceClassifier(2, 3, weights="int8"), "weights: 'int8', expected one of"),
    (lambda: LSTM(2, 4)(PACKED, lengths=torch.tensor([3, 1])), "lengths: a PackedSequence carries its own lengths"),
    (lambda: LSTM(2, 4)(X[:, 0], lengths=torch.tensor([5])), "lengths: unbatched input is one sequence"),
    (lambda: LSTM(2, 4)(X, torch.zeros(1, 3, 4)), "hx: expected the pair (h_0, c_0), got Tensor"),
    (lambda: SequenceClassifier(2, 3)(PACKED, torch.tensor([3, 1])), "lengths: a PackedSequence carries its own"),
    (lambda: Standardize(0), "size: 0, expected an integer of at least 1"),
]

H, C = torch.zeros(1, 3, 4), torch.zeros(1, 3, 4)
SHAPES: list[tuple[Make, str]] = [
    (lambda: LSTM(2, 4)(X[..., None]), "input: expected 2 (unbatched) or 3 dimensions, got 4 in shape (5, 3, 2, 1)"),
    (lambda: LSTM(7, 4)(X), "input: expected 7 features on the last axis (input_size), got 2"),
    (lambda: LSTM(7, 4)(PACKED), "input: expected 7 features on the last axis (input_size), got 2"),
    (lambda: LSTM(2, 4)(X[:0]), "input: expected at least one time step, got shape (0, 3, 2)"),
    (lambda: GRU(2, 4, batch_first=True)(X[:, :0]), "input: expected at least one time step, got shape (5, 0, 2)"),
    (lambda: LSTM(2, 4)(X.double()), "input: expected torch.float32 like the parameters, got torch.float64"),
    (lambda: GRU(2, 4)(X.long()), "input: expected torch.float32 like the parameters, got torch.int64"),
    (lambda: LSTM(2, 4)(X, (H[:, :2], C)), "h_0: expected shape (1, 3, 4) (layers * directions first), got (1, 2, 4)"),
    (lambda: LSTM(2, 4)(X, (H, C[0])), "c_0: expected shape (1, 3, 4) (layers * directions first), got (3, 4)"),
    (lambda: LSTM(2, 4)(X[:, 0], (H, C)), "h_0: expected shape (1, 4) (layers * directions first), got (1, 3, 4)"),
    (lambda: LSTM(2, 4, proj_size=3)(X, (H, C)), "h_0: expected shape (1, 3, 3)"),
    (lambda: GRU(2, 4, 2)(X, H), "h_0: expected shape (2, 3, 4) (layers * directions first), got (1, 3, 4)"),
    (lambda: GRU(2, 4)(X, (H, C)), "h_0: expected shape (1, 3, 4) (layers * directions first), got tuple"),
    (
        lambda: LSTM(2, 4)(X, lengths=torch.tensor([5, 5])),
        "lengths: expected 3 integers, got torch.int64 of shape (2",
    ),
    (lambda: LSTM(2, 4)(X, lengths=torch.ones(3)), "lengths: expected 3 integers, got torch.float32 of shape (3,)"),
    (lambda: LSTM(2, 4)(X, lengths=torch.tensor([5, 0, 1])), "lengths: found 0 to 5, expected 1 to 5"),
    (lambda: LSTM(2, 4)(X, lengths=torch.tensor([5, 1, 6])), "lengths: found 1 to 6, expected 1 to 5"),
    (lambda: LSTM(2, 4)(X[:, :0], lengths=torch.zeros(0, dtype=torch.int64)), "lengths: empty, expected at least one"),
    (lambda: Linear(7, 4)(X), "input: expected 7 features on the last axis, got (5, 3, 2)"),
    (lambda: SequenceClassifier(2, 3)(X[0]), "x: expected (B, T, 2), got shape (3, 2)"),
    (lambda: SequenceClassifier(7, 3)(X), "x: expected 7 features on the last axis, got 2"),
    (lambda: SequenceClassifier(2, 3)(X, torch.tensor([3, 3])), "lengths: expected 5 integers, got"),
    (lambda: SequenceClassifier(2, 3)(X.double()), "input: expected torch.float32 like the parameters"),
    (lambda: Standardize(2).set([0, 0, 0], [1, 1]), "mean: expected 2 finite values (std positive), got [0, 0, 0]"),
    (lambda: Standardize(2).set([0, 0], [1, 0]), "std: expected 2 finite values (std positive), got [1, 0]"),
    (lambda: Standardize(2).set([0, float("nan")], [1, 1]), "mean: expected 2 finite values"),
]


@pytest.mark.parametrize(("make", "message"), ARGUMENTS, ids=[message for _, message in ARGUMENTS])
def test_a_wrong_argument_is_refused_by_name_and_value(make: Make, message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(("make", "message"), SHAPES, ids=[message for _, message in SHAPES])
def test_a_wrong_shape_is_refused_by_name_and_shape(make: Make, message: str) -> None:
    with pytest.raises(ShapeError, match=re.escape(message)):
        make()


def test_all_refusals_are_of_one_family_and_value_errors() -> None:
    assert issubclass(ShapeError, ArgumentError)
    assert issubclass(ArgumentError, BitgateError)
    assert issubclass(ArgumentError, ValueError)


def test_a_state_dict_that_does_not_fit_names_the_key() -> None:
    with pytest.raises(RuntimeError, match=r"weight_ih_l0\.logits"):
        LSTM(2, 4, weights="ternary").load_state_dict(LSTM(2, 4).state_dict())
