import numpy as np
import pytest

from bitgate.data import load_dataset, load_file_dataset, read_sequences
from bitgate.data.arrays import read_npz, write_npz
from bitgate.errors import ArgumentError, DataError

LENGTH = np.array([2, 4, 1])


@pytest.fixture
def save(tmp_path):
    def write(**arrays):
        path = tmp_path / "mine.npz"
        np.savez(path, **arrays)
        return path

    return write


def padded(value=np.nan):
    x = np.arange(24, dtype=np.float64).reshape(3, 4, 2)
    x[np.arange(4) >= LENGTH[:, None]] = value
    return x


def joined():
    x = padded()
    return x[np.arange(4) < LENGTH[:, None]]


def test_padded_and_joined_archives_are_the_same(save):
    a, classes, names = read_sequences(save(x=padded(), length=LENGTH))
    b, _, _ = read_sequences(save(x=joined(), length=LENGTH))
    np.testing.assert_array_equal(a.features, b.features)
    np.testing.assert_array_equal(a.length, LENGTH)
    assert a.labels is None
    assert (classes, names) == ((), ("x0", "x1"))


def test_three_dimensions_need_no_length(save):
    sequences, _, _ = read_sequences(save(x=padded(0)))
    assert sequences.length.tolist() == [4, 4, 4]


@pytest.mark.parametrize(
    ("y", "extra", "labels", "classes"),
    [
        ([7, 10, 7], {}, [0, 1, 0], ("7", "10")),
        (["up", "down", "up"], {}, [1, 0, 1], ("down", "up")),
        ([2, 0, 2], {"class_names": ["a", "b", "c"]}, [2, 0, 2], ("a", "b", "c")),
        (["c", "a", "a"], {"class_names": ["c", "b", "a"]}, [0, 2, 2], ("c", "b", "a")),
    ],
)
def test_labels(save, y, extra, labels, classes):
    sequences, names, _ = read_sequences(save(x=padded(), length=LENGTH, y=y, **extra))
    assert sequences.labels.tolist() == labels
    assert names == classes


def test_known_classes_fix_the_indices(save):
    path = save(x=padded(), length=LENGTH, y=["up", "up", "up"], feature_names=["u", "v"])
    sequences, classes, features = read_sequences(path, class_names=("down", "left", "up"))
    assert sequences.labels.tolist() == [2, 2, 2]
    assert (classes, features) == (("down", "left", "up"), ("u", "v"))
    named = save(x=padded(), length=LENGTH, y=[1, 0, 0], class_names=["left", "down"])
    assert read_sequences(named, class_names=("down", "left"))[0].labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": [1]}, "key 'x' is missing; found z"),
        ({"x": joined()}, "key 'length' is missing; found x"),
        ({"x": np.zeros(3)}, r"key 'x': float64 of shape \(3,\), but int or unsigned int or float"),
        ({"x": joined(), "length": [2, 4]}, "key 'length': the lengths add up to 6, but there are 7 steps"),
        ({"x": joined(), "length": [2, 5, 0]}, "key 'length', row 2: value 0 is outside 1..7"),
        ({"x": padded(), "length": [2, 5, 1]}, "key 'length', row 1: value 5 is outside 1..4"),
        ({"x": padded(), "length": [2.0, 4.0, 1.0]}, "key 'length': float64"),
        ({"x": padded()}, r"mine\.npz: sequence 0, step 2, feature 0 is nan"),
        ({"x": padded(1e300)}, "sequence 0, step 2, feature 0 is inf"),
        ({"x": padded(), "length": LENGTH, "y": [0, 1]}, r"key 'y': shape \(2,\), but one label for each of 3"),
        ({"x": padded(), "length": LENGTH, "y": [0.5, 1, 1]}, "labels are float64"),
        (
            {"x": padded(), "length": LENGTH, "y": [0, 1, 3], "class_names": ["a", "b"]},
            "sequence 2: label 3, but class_names has 2",
        ),
        (
            {"x": padded(), "length": LENGTH, "y": ["a", "x", "a"], "class_names": ["a", "b"]},
            "sequence 1: unknown label 'x'; known are a, b",
        ),
        ({"x": padded(), "length": LENGTH, "class_names": ["a", "a"]}, "key 'class_names': a name comes twice"),
        ({"x": padded(), "length": LENGTH, "feature_names": ["a"]}, r"key 'feature_names': <U1 of shape \(1,\)"),
        ({"x": np.zeros((0, 4, 2))}, "length is empty"),
    ],
)
def test_bad_archives(save, arrays, message):
    with pytest.raises(DataError, match=message):
        read_sequences(save(**arrays))


def test_unknown_label_names_it_and_the_known_ones(save):
    path = save(x=padded(), length=LENGTH, y=["up", "up", "dwon"])
    with pytest.raises(DataError, match=r"mine\.npz, sequence 2: unknown label 'dwon'; known are down, up"):
        read_sequences(path, class_names=("down", "up"))


def test_other_suffix_and_missing_file(tmp_path):
    with pytest.raises(ArgumentError, match=r"x\.mat: the name must end in \.npz, \.parquet, \.csv"):
        read_sequences(tmp_path / "x.mat")
    for suffix in (".npz", ".parquet", ".csv"):
        with pytest.raises(DataError, match=rf"x\{suffix}: no such file"):
            read_sequences(tmp_path / f"x{suffix}")


def test_damaged_archives(save, tmp_path):
    path = save(x=padded(), length=LENGTH)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"mine\.npz: damaged or no \.npz archive"):
        read_npz(path)
    broken = bytearray(content)
    broken[300] ^= 1
    path.write_bytes(broken)
    with pytest.raises(DataError, match=r"mine\.npz, key 'x': damaged"):
        read_npz(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"mine\.npz: damaged"):
        read_npz(path)
    np.save(tmp_path / "one.npy", np.zeros(2))
    with pytest.raises(DataError, match=r"one\.npy: a single \.npy array"):
        read_npz(tmp_path / "one.npy")


def test_pickled_objects_are_refused(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, x=np.array([{}, None], dtype=object))
    with pytest.raises(DataError, match=r"key 'x': damaged or no \.npz archive \(Object arrays cannot be loaded"):
        read_npz(path)


def test_write_leaves_nothing_behind_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "a" / "a.npz"
    write_npz(path, {"x": np.arange(3)})
    assert read_npz(path)["x"].tolist() == [0, 1, 2]

    def full_disk(file, **arrays):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez_compressed", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_npz(path, {"x": np.arange(4)})
    assert [p.name for p in path.parent.iterdir()] == ["a.npz"]
    assert read_npz(path)["x"].tolist() == [0, 1, 2]


def many(n=20):
    return {"x": np.arange(n * 3, dtype=np.float32).reshape(n, 3, 1), "y": np.arange(n) % 2}


def test_random_split_uses_every_sequence_once(save):
    path = save(**many())
    dataset = load_dataset(path)
    parts = (dataset.train, dataset.val, dataset.test)
    assert [len(p) for p in parts] == [14, 3, 3]
    first_steps = sorted(step for p in parts for step in p.features[::3, 0].tolist())
    assert first_steps == [3.0 * i for i in range(20)]
    again = load_file_dataset(str(path))
    np.testing.assert_array_equal(again.train.features, dataset.train.features)
    assert dataset.class_names == ("0", "1")
    assert (dataset.name, dataset.source) == (str(path), "file mine.npz")


def test_own_split(save):
    dataset = load_file_dataset(save(**many(), split_train=[5, 3], split_val=[0], split_test=[1, 2]))
    assert dataset.train.features[:, 0].tolist() == [15, 16, 17, 9, 10, 11]
    assert dataset.test.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"split_train": [0], "split_val": [1]}, "key 'split_test' is missing"),
        ({"split_train": [0], "split_val": [20], "split_test": [1]}, "'split_val', row 0: value 20 is outside 0..19"),
        ({"split_train": [0, 7], "split_val": [7], "split_test": [1]}, "sequence 7 is named twice"),
        ({"split_train": [0], "split_val": np.zeros(0, int), "split_test": [1]}, "key 'split_val': empty"),
    ],
)
def test_bad_splits(save, arrays, message):
    with pytest.raises(DataError, match=message):
        load_file_dataset(save(**many(), **arrays))


def test_data_set_needs_labels_and_three_sequences(save):
    with pytest.raises(DataError, match="no labels"):
        load_file_dataset(save(x=many()["x"]))
    with pytest.raises(DataError, match="2 sequences cannot be split"):
        load_file_dataset(save(**many(2)))
    assert [len(p) for p in vars(load_file_dataset(save(**many(3)))).values() if hasattr(p, "mean_std")] == [1, 1, 1]
