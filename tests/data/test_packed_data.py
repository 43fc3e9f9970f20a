"""The real data sets, against the facts in their README; needs $BITGATE_DATA."""

import numpy as np
import pytest

from bitgate.data import load_dataset
from bitgate.data.arrays import read_npz
from bitgate.data.sources import auslan, epileptic, mnist_strokes, uci_har
from bitgate.data.sources.mnist_split import split_indices
from bitgate.errors import DataError


@pytest.fixture(scope="module")
def packed(packed_folder):
    return lambda name: read_npz(packed_folder / name / f"{name}.npz")


@pytest.fixture(scope="module")
def load(packed_folder):
    return lambda name, split="paper": load_dataset(name, data_dir=packed_folder, split=split, download=False)


def parts(dataset):
    return dataset.train, dataset.val, dataset.test


def contents(part):
    return {part[i].tobytes() for i in range(len(part))}


@pytest.mark.parametrize(
    ("name", "sizes", "size", "classes", "mean_length"),
    [
        ("mnist-strokes", (10_000, 2_000, 2_000), 4, 10, 39.8777),
        ("uci-har", (5881, 1471, 2947), 9, 6, 128),
        ("epileptic", (7360, 1840, 2300), 1, 5, 178),
        ("auslan", (1900, 251, 252), 22, 95, 55.9595),
    ],
)
def test_table_2(load, name, sizes, size, classes, mean_length):
    dataset = load(name)
    assert tuple(len(p) for p in parts(dataset)) == sizes
    assert (dataset.input_size, dataset.n_classes) == (size, classes)
    assert dataset.train.length.mean() == pytest.approx(mean_length, abs=1e-3)


def test_uci_har_is_the_official_data(load):
    dataset = load("uci-har")
    counts = np.bincount(dataset.train.labels) + np.bincount(dataset.val.labels)
    assert counts.tolist() == [1226, 1073, 986, 1286, 1374, 1407]
    assert np.bincount(dataset.test.labels).tolist() == [496, 471, 420, 491, 532, 537]
    order = np.random.default_rng(0).permutation(7352)
    first_window = np.flatnonzero(order == 0)[0]
    part, i = (dataset.train, first_window) if first_window < 5881 else (dataset.val, first_window - 5881)
    np.testing.assert_allclose(part[i][:2, 6], [1.012817, 1.022833], atol=6e-5)


def test_uci_har_honest_split_is_by_subject(load, packed):
    dataset, arrays = load("uci-har", "honest"), packed("uci-har")
    subject = arrays["subject_train"]
    subjects = np.unique(subject)
    held_out = set(subjects[np.random.default_rng(0).permutation(21)[:4]].tolist())
    assert len(dataset.val) == sum(np.count_nonzero(subject == s) for s in held_out) == 1450
    assert len(dataset.train) == 7352 - 1450
    # Consecutive windows overlap by half, so a shared half would betray a shared subject.
    halves = [{half.tobytes() for i in range(len(p)) for half in (p[i][:64], p[i][64:])} for p in parts(dataset)]
    assert not halves[0] & halves[1]
    paper = [{half.tobytes() for i in range(len(p)) for half in (p[i][:64], p[i][64:])} for p in parts(load("uci-har"))]
    assert paper[0] & paper[1]


def test_epileptic(load, packed):
    arrays = packed("epileptic")
    order = np.random.default_rng(0).permutation(11_500)
    dataset = load("epileptic")
    np.testing.assert_array_equal(dataset.train[0][:, 0], arrays["x"][order[0]])
    np.testing.assert_array_equal(dataset.test[-1][:, 0], arrays["x"][order[-1]])
    assert sum(np.bincount(p.labels) for p in parts(dataset)).tolist() == [2300] * 5
    honest = load("epileptic", "honest")
    assert [len(p) for p in parts(honest)] == [7360, 1840, 2300]
    row = {x.astype(np.float32).tobytes(): r for x, r in zip(arrays["x"], arrays["recording"], strict=True)}
    recordings = [{row[content] for content in contents(p)} for p in parts(honest)]
    assert [len(r) for r in recordings] == [320, 80, 100]
    assert len(set.union(*recordings)) == 500


def test_auslan_keeps_the_short_ones(load, packed):
    dataset, arrays = load("auslan"), packed("auslan")
    assert max(p.length.max() for p in parts(dataset)) == 70
    short = np.flatnonzero(arrays["length"] <= 70)
    order = np.random.default_rng(0).permutation(2403)
    assert dataset.train.labels[:5].tolist() == arrays["y"][short[order[:5]]].tolist()
    everything = sum(int(p.length.sum()) for p in parts(dataset))
    assert everything / 2403 == pytest.approx(55.83, abs=0.005)
    per_class = sum(np.bincount(p.labels, minlength=95) for p in parts(dataset))
    assert (per_class.min(), per_class.max()) == (14, 27)


def test_mnist_strokes_split_is_that_of_the_file(load, packed):
    arrays = packed("mnist-strokes")
    for key, indices in split_indices().items():
        np.testing.assert_array_equal(indices, arrays[key])
    dataset = load("mnist-strokes")
    assert dataset.train.labels[:3].tolist() == arrays["train_y"][[2, 7, 8]].tolist()
    np.testing.assert_array_equal(dataset.train[0][:2], [[5, 9, 0, 0], [0, 1, 0, 0]])
    assert dataset.train[0][-1].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("module", "name", "key"),
    [
        (mnist_strokes, "mnist-strokes", "train_y"),
        (mnist_strokes, "mnist-strokes", "train_x"),
        (uci_har, "uci-har", "y_test"),
        (epileptic, "epileptic", "x"),
        (auslan, "auslan", "x"),
        (auslan, "auslan", "y"),
    ],
)
def test_content_is_recognized_and_a_change_noticed(packed, module, name, key):
    arrays = packed(name)
    module.verify(arrays, "file")
    flat = arrays[key].reshape(-1)
    flat[:4] = flat[4:8] + 1
    with pytest.raises(DataError, match="file"):
        module.verify(arrays, "file")


def test_epileptic_csv_gives_the_packed_file(packed, tmp_path):
    """The whole UCI table, as its makers' R script names and shuffles it, comes back in our order."""
    arrays = packed("epileptic")
    suffix = {recording: name for name, recording in epileptic.recording_of_name().items()}
    lines = [
        ",".join([f"X{chunk + 1}.{suffix[recording]}", *map(str, x), str(y)])
        for x, y, recording, chunk in zip(
            arrays["x"].tolist(), arrays["y"], arrays["recording"].tolist(), arrays["chunk"], strict=True
        )
    ]
    shuffled = [lines[i] for i in np.random.default_rng(1).permutation(len(lines))]
    path = tmp_path / "data.csv"
    path.write_text("\n".join([",".join(["", *(f"X{j + 1}" for j in range(178)), "y"]), *shuffled]))
    parsed = epileptic.parse(path)
    epileptic.verify(parsed, path)
    assert parsed.keys() == arrays.keys()
    for key, array in arrays.items():
        np.testing.assert_array_equal(parsed[key], array)
