import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bitgate.data import Dataset, Sequences, check_input_size
from bitgate.errors import ArgumentError, DataError, ShapeError

finite = st.floats(-1e6, 1e6, width=32)
lists = st.integers(1, 4).flatmap(
    lambda size: st.lists(
        st.integers(1, 7).flatmap(lambda steps: hnp.arrays(np.float32, (steps, size), elements=finite)),
        min_size=1,
        max_size=8,
    )
)


def made(length=(2, 3), labels=(0, 1), size=2):
    features = np.arange(sum(length) * size, dtype=np.float32).reshape(-1, size)
    return Sequences(features, np.array(length, np.int64), None if labels is None else np.array(labels, np.int64))


@settings(max_examples=25)
@given(lists)
def test_from_list_round_trip(arrays):
    sequences = Sequences.from_list(arrays)
    assert len(sequences) == len(arrays)
    for i, array in enumerate(arrays):
        np.testing.assert_array_equal(sequences[i], array)


@settings(max_examples=25)
@given(lists, st.data())
def test_subset_picks_in_order(arrays, data):
    chosen = data.draw(st.lists(st.integers(0, len(arrays) - 1), min_size=1))
    subset = Sequences.from_list(arrays, range(len(arrays))).subset(chosen)
    assert subset.labels.tolist() == chosen
    for k, i in enumerate(chosen):
        np.testing.assert_array_equal(subset[k], arrays[i])


@settings(max_examples=25)
@given(lists, st.data())
def test_padded_is_the_sequences_and_zeros(arrays, data):
    chosen = data.draw(st.none() | st.lists(st.integers(0, len(arrays) - 1), min_size=1))
    x, length = Sequences.from_list(arrays).padded(chosen)
    wanted = arrays if chosen is None else [arrays[i] for i in chosen]
    assert x.dtype == np.float32
    assert length.dtype == np.int64
    assert x.shape == (len(wanted), max(map(len, wanted)), arrays[0].shape[1])
    for row, steps, array in zip(x, length, wanted, strict=True):
        np.testing.assert_array_equal(row[:steps], array)
        assert not row[steps:].any()


@settings(max_examples=25)
@given(lists)
def test_mean_std_against_float64(arrays):
    steps = np.concatenate(arrays).astype(np.float64)
    mean, std = Sequences.from_list(arrays).mean_std()
    np.testing.assert_array_equal(mean, steps.mean(axis=0).astype(np.float32))
    varies = np.ptp(steps, axis=0) > 0
    wanted = steps.std(axis=0).astype(np.float32)
    np.testing.assert_array_equal(std[varies & (wanted > 0)], wanted[varies & (wanted > 0)])
    assert (std[~varies] == 1).all()
    assert (std > 0).all()


def test_std_of_a_constant_that_float64_cannot_sum_exactly():
    sequences = Sequences.from_list([np.full((1_000, 1), 0.1)])
    assert sequences.mean_std()[1].tolist() == [1]


def test_item_is_a_view_and_negative_index_counts_back():
    sequences = made()
    assert sequences[1].base is not None
    assert np.shares_memory(sequences[1], sequences.features)
    np.testing.assert_array_equal(sequences[-1], sequences[1])
    with pytest.raises(IndexError, match="sequence 2 of 2"):
        sequences[2]


def test_without_labels():
    sequences = made(labels=None)
    assert sequences.labels is None
    assert sequences.subset([1]).labels is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_is_named(value):
    features = np.zeros((5, 2), np.float32)
    features[3, 1] = value
    with pytest.raises(DataError, match=f"sequence 1, step 1, feature 1 is {value}: every value must be finite"):
        Sequences(features, np.array([2, 3]))


def test_float64_too_large_for_float32_is_named():
    with pytest.raises(DataError, match="sequence 0, step 1, feature 0 is inf"):
        Sequences.from_list([np.array([[1.0], [1e300]])])


@pytest.mark.parametrize(
    ("length", "message"),
    [
        ([2, 0, 3], "sequence 1 has length 0"),
        ([2, 2], "lengths add up to 4 steps, but features has 5 rows"),
        ([], "length is empty"),
    ],
)
def test_bad_lengths(length, message):
    with pytest.raises(DataError, match=message):
        Sequences(np.zeros((5, 1), np.float32), np.array(length, np.int64))


@pytest.mark.parametrize(
    ("features", "length", "labels", "message"),
    [
        (np.zeros((2, 1)), np.array([2]), None, "features is float64 with 2 dimensions: float32"),
        (np.zeros(2, np.float32), np.array([2]), None, "features is float32 with 1 dimensions"),
        (np.zeros((2, 1), np.float32), np.array([2], np.int32), None, "length is int32"),
        (np.zeros((2, 1), np.float32), [2], None, "length must be a NumPy array, not list"),
        (np.zeros((2, 1), np.float32), np.array([2]), np.array([0, 1]), "labels has 2 entries for 1 sequences"),
        (np.zeros((2, 0), np.float32), np.array([2]), None, "features has no columns"),
    ],
)
def test_bad_arrays(features, length, labels, message):
    with pytest.raises(ShapeError, match=message):
        Sequences(features, length, labels)


def test_from_list_names_the_odd_one_out():
    with pytest.raises(ShapeError, match=r"sequence 1 has shape \(2, 3\): \(steps, 4\) is needed"):
        Sequences.from_list([np.zeros((1, 4)), np.zeros((2, 3))])
    with pytest.raises(DataError, match="list of sequences is empty"):
        Sequences.from_list([])


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([0, 2], "index 2 is outside 0..1"),
        ([-1], "index -1 is outside 0..1"),
        ([0.5], "whole numbers in one dimension, not float64"),
        (np.array([True, False]), "whole numbers in one dimension, not bool"),
    ],
)
def test_bad_indices(indices, message):
    with pytest.raises(ArgumentError, match=message):
        made().subset(indices)


def test_empty_subset_is_refused():
    with pytest.raises(DataError, match="length is empty"):
        made().subset([])


def test_dataset_checks_its_parts():
    def dataset(test):
        return Dataset("d", made(), made(), test, ("a", "b"), ("u", "v"), "paper", "")

    assert (dataset(made()).input_size, dataset(made()).n_classes) == (2, 2)
    with pytest.raises(DataError, match="d, part test: labels are missing"):
        dataset(made(labels=None))
    with pytest.raises(DataError, match=r"d, part test, sequence 1: label 2 is outside 0\.\.1"):
        dataset(made(labels=(0, 2)))
    with pytest.raises(DataError, match="d, part test: 3 features per step, but 2 are expected"):
        dataset(made(size=3))


def test_check_input_size():
    check_input_size(made(), 2, "x.npz")
    with pytest.raises(DataError, match=r"x\.npz: 2 features per step, but 9 are expected"):
        check_input_size(made(), 9, "x.npz")
