"""count_bits gives the "bits" column of [DLSTM] Table 1."""

import pytest

from bitgate.nn import GRU, LSTM, Linear, SequenceClassifier, count_bits
from bitgate.weights import BINARY, Categorical, Gaussian, Quantized, uniform_levels

# The paper's Epileptic row counts a bias as one bit; these are the same formula as the other rows (PAPERS.md 1.4).
TABLE_1 = [
    ("mnist-strokes", 4, 10, (64, 32), (732480, 54720, 32128)),
    ("auslan", 22, 96, (64, 32), (933888, 69888, 41088)),
    ("uci-har", 9, 6, (128, 64), (2894016, 198336, 108480)),
    ("epileptic", 1, 5, (32, 16), (182432, 15872, 10320)),
]


@pytest.mark.parametrize(("name", "features", "classes", "hidden", "bits"), TABLE_1, ids=[row[0] for row in TABLE_1])
def test_bits_are_those_of_table_1(
    name: str, features: int, classes: int, hidden: tuple[int, ...], bits: tuple[int, ...]
) -> None:
    for weights, expected in zip(("continuous", "ternary", "binary"), bits, strict=True):
        count = count_bits(SequenceClassifier(features, classes, hidden, coupled=True, weights=weights))
        assert count.paper_bits == expected
        assert count.paper_bits == count.weight_bits + 32 * count.n_biases
        n_scales = 0 if weights == "continuous" else 3 + 3 + 1  # one a gate and layer, one for the readout
        assert (count.n_scales, count.scale_bits) == (n_scales, 32 * n_scales)


def test_mnist_by_hand() -> None:
    count = count_bits(SequenceClassifier(4, 10, (64, 32), coupled=True, weights="ternary"))
    assert count.n_weights == 3 * 64 * (4 + 64) + 3 * 32 * (64 + 32) + 32 * 10 == 22592
    assert count.n_biases == 3 * (64 + 32) + 10 == 298
    assert count.weight_bits == 2 * 22592


def test_qat_and_local_reparametrization_count_alike() -> None:
    counts = [
        count_bits(SequenceClassifier(4, 10, coupled=True, weights=w))
        for w in ("binary", Quantized(BINARY), Categorical(BINARY, trick="lr"))
    ]
    assert counts[0] == counts[1] == counts[2]


@pytest.mark.parametrize(("n_levels", "bits"), [(2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4), (256, 8)])
def test_bits_of_a_weight_are_those_of_its_code(n_levels: int, bits: int) -> None:
    count = count_bits(Linear(3, 2, bias=False, weights=Categorical(uniform_levels(n_levels))))
    assert (count.n_weights, count.weight_bits, count.n_biases) == (6, 6 * bits, 0)


def test_biases_that_act_as_a_sum_count_once() -> None:
    assert count_bits(LSTM(3, 5)).n_biases == 4 * 5
    assert count_bits(LSTM(3, 5, coupled=True)).n_biases == 3 * 5
    assert count_bits(GRU(3, 5)).n_biases == 4 * 5  # the candidate keeps two: the reset gate multiplies only one
    assert count_bits(LSTM(3, 5, bias=False)).n_biases == 0
    assert count_bits(LSTM(3, 5, 2, bidirectional=True)).n_biases == 4 * 5 * 4


def test_projections_are_weights_and_gaussians_are_floats() -> None:
    count = count_bits(LSTM(3, 5, proj_size=2, weights="ternary"))
    assert count.n_weights == 20 * 3 + 20 * 2 + 2 * 5
    assert count.n_scales == 4 + 1
    assert count_bits(Linear(3, 2, weights=Gaussian())).weight_bits == 6 * 32
