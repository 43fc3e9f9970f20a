import numpy as np
import pytest
import requests

from bitgate.data import dataset_names, describe, fetch, load_dataset
from bitgate.data.arrays import read_npz, write_npz
from bitgate.data.sources.mnist_split import split_indices
from bitgate.errors import ArgumentError, DataError


def eeg(n=11_500):
    recording = np.repeat(np.arange(500), 23)[:n].astype(np.int16)
    return {"x": np.zeros((n, 178), np.int16), "y": (recording // 100 + 1).astype(np.int8), "recording": recording}


def strokes():
    arrays = dict(split_indices())
    for part, n in (("train", 60_000), ("test", 10_000)):
        arrays[f"{part}_x"] = np.zeros((n, 4), np.int8)
        arrays[f"{part}_length"] = np.ones(n, np.int16)
        arrays[f"{part}_y"] = (np.arange(n) % 10).astype(np.uint8)
    return arrays


def har():
    arrays = {"scale": np.ones(9, np.float32), "subject_train": (np.arange(7352) % 21).astype(np.int8)}
    for part, n in (("train", 7352), ("test", 2947)):
        arrays[f"x_{part}"] = np.zeros((n, 128, 9), np.int8)
        arrays[f"y_{part}"] = (np.arange(n) % 6 + 1).astype(np.int8)
    return arrays


def signs():
    y = np.repeat(np.arange(95), 27).astype(np.int16)
    length = np.where(np.arange(2565) < 2403, 1, 71).astype(np.int16)
    names = np.array([f"sign{k}" for k in range(95)])
    return {"x": np.zeros((length.sum(dtype=int), 22), np.float32), "length": length, "y": y, "class_names": names}


MADE = {"epileptic": eeg, "mnist-strokes": strokes, "uci-har": har, "auslan": signs}


def test_names_and_default():
    papers = ("digits", "digits-pixels", "mnist-strokes", "uci-har", "epileptic", "auslan")
    assert dataset_names()[: len(papers)] == papers
    assert dataset_names()[len(papers) :] == (
        *("imdb", "imdb-400", "imdb-1000", "imdb-2000"),
        *("recall-100", "recall-500", "recall-1000"),
    )


@pytest.mark.parametrize(("name", "steps", "size"), [("digits", 8, 8), ("digits-pixels", 64, 1)])
def test_digits_need_no_file(no_local_data, name, steps, size):
    dataset = load_dataset(name, download=False)
    assert [len(p) for p in (dataset.train, dataset.val, dataset.test)] == [1197, 300, 300]
    assert (dataset.input_size, dataset.n_classes) == (size, 10)
    assert set(dataset.train.length) == {steps}
    assert dataset.train.labels[:8].tolist() == DIGITS_FIRST
    assert fetch(name) is None


# Of numpy.random.default_rng(0).permutation(1797) and scikit-learn's labels.
DIGITS_FIRST = [6, 6, 6, 2, 5, 6, 6, 2]


def test_digits_rows_are_the_image(no_local_data):
    rows, pixels = load_dataset("digits"), load_dataset("digits-pixels")
    np.testing.assert_array_equal(rows.train[5].reshape(-1), pixels.train[5][:, 0])
    assert rows.train.features.max() == 16


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("uci_har", "no data set is called 'uci_har': did you mean uci-har"),
        (
            "zzz",
            r"no data set is called 'zzz': There are digits, .*recall-1000, or give the path .*\.npz, \.parquet, \.csv",
        ),
        ("data.mat", r"no data set is called 'data\.mat'"),
    ],
)
def test_unknown_name(name, message):
    with pytest.raises(ArgumentError, match=message):
        load_dataset(name)
    with pytest.raises(ArgumentError, match=message):
        fetch(name)


@pytest.mark.parametrize("name", ["digits", "auslan", "mine.npz"])
def test_only_two_sets_have_an_honest_split(name):
    with pytest.raises(ArgumentError, match=rf"split='honest' for {name}: .* one of uci-har, epileptic"):
        load_dataset(name, split="honest")
    with pytest.raises(ArgumentError, match="split='random'"):
        load_dataset("uci-har", split="random")


def test_order_of_places(no_local_data, tmp_path, monkeypatch):
    for place in ("given", "variable"):
        write_npz(tmp_path / place / "epileptic" / "epileptic.npz", eeg())
    write_npz(no_local_data / "epileptic" / "epileptic.npz", eeg())

    def location(data_dir=None):
        return {row.name: row.location for row in describe(data_dir)}["epileptic"]

    assert location() == str(no_local_data / "epileptic" / "epileptic.npz")
    monkeypatch.setenv("BITGATE_DATA", str(tmp_path / "variable"))
    assert location() == str(tmp_path / "variable" / "epileptic" / "epileptic.npz")
    assert location(tmp_path / "given") == str(tmp_path / "given" / "epileptic" / "epileptic.npz")
    assert fetch("epileptic", data_dir=tmp_path / "given") == tmp_path / "given" / "epileptic" / "epileptic.npz"


def test_describe_without_data(no_local_data):
    rows = {row.name: row for row in describe()}
    assert tuple(rows) == dataset_names()
    assert (rows["digits"].location, rows["digits"].url) == ("bundled", "")
    assert rows["uci-har"].location == ""
    assert rows["uci-har"].url.startswith("https://archive.ics.uci.edu/")
    assert (rows["auslan"].sequences, rows["auslan"].input_size, rows["auslan"].n_classes) == (2565, 22, 95)


def test_folder_that_does_not_exist(no_local_data, tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"data_dir: .*nowhere is no folder"):
        load_dataset("auslan", data_dir=tmp_path / "nowhere")
    monkeypatch.setenv("BITGATE_DATA", str(tmp_path / "gone"))
    with pytest.raises(DataError, match=r"\$BITGATE_DATA: .*gone is no folder"):
        load_dataset("auslan")


def test_not_here_and_no_download(no_local_data):
    with pytest.raises(DataError, match=r"auslan: not on this machine; allow the download from https.*--data-dir"):
        load_dataset("auslan", download=False)


def test_no_network(no_local_data, monkeypatch):
    def unreachable(*arguments, **options):
        raise requests.exceptions.ConnectionError("Name or service not known\nmore")

    monkeypatch.setattr("pooch.retrieve", unreachable)
    with pytest.raises(DataError) as error:
        load_dataset("uci-har")
    message = str(error.value)
    assert "\n" not in message
    for part in ("uci-har", "https://archive.ics.uci.edu/static", "not known", "$BITGATE_DATA", "--data-dir"):
        assert part in message
    assert list((no_local_data / "uci-har").iterdir()) == []


def test_download_is_parsed_verified_and_cached(no_local_data, monkeypatch):
    calls = []

    def retrieve(url, known_hash, path):
        calls.append((url, known_hash))
        (path / "original").write_text("text")
        return str(path / "original")

    class Fake:
        card = load_source("epileptic").card
        urls = ("https://one.example/a", "https://two.example/a")
        sha256 = "00ff"
        build = staticmethod(load_source("epileptic").build)

        @staticmethod
        def parse(path):
            assert path.read_text() == "text"
            return eeg()

        @staticmethod
        def verify(arrays, path):
            if len(calls) == 1:
                raise DataError("the first copy is wrong")

    monkeypatch.setattr("pooch.retrieve", retrieve)
    monkeypatch.setitem(registered(), "epileptic", Fake)
    assert len(load_dataset("epileptic").train) == 7360
    assert calls == [(url, "sha256:00ff") for url in Fake.urls]
    packed = no_local_data / "epileptic" / "epileptic.npz"
    assert [p.name for p in packed.parent.iterdir()] == ["epileptic.npz"]
    np.testing.assert_array_equal(read_npz(packed)["recording"], eeg()["recording"])
    assert len(load_dataset("epileptic").test) == 2300
    assert len(calls) == 2


def registered():
    from bitgate.data import registry

    return registry._REGISTERED


def load_source(name):
    return registered()[name]


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("epileptic", [7360, 1840, 2300]),
        ("mnist-strokes", [10_000, 2_000, 2_000]),
        ("uci-har", [5881, 1471, 2947]),
        ("auslan", [1900, 251, 252]),
    ],
)
def test_sizes_of_the_parts(no_local_data, tmp_path, name, sizes):
    np.savez(_folder(tmp_path, name) / f"{name}.npz", **MADE[name]())
    dataset = load_dataset(name, data_dir=tmp_path)
    assert [len(p) for p in (dataset.train, dataset.val, dataset.test)] == sizes
    assert dataset.split == "paper"


def _folder(root, name):
    (root / name).mkdir(exist_ok=True)
    return root / name


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("epileptic", {"y": None}, "key 'y' is missing; found recording, x"),
        ("epileptic", {"x": np.zeros((11_500, 177), np.int16)}, r"key 'x': int16 of shape \(11500, 177\), but"),
        ("epileptic", {"x": np.zeros((11_500, 178), np.float32)}, "key 'x': float32"),
        ("epileptic", {"y": np.zeros(11_500, np.int8)}, r"key 'y', row 0: value 0 is outside 1\.\.5"),
        ("epileptic", {"recording": np.full(11_500, 500)}, "key 'recording', row 0: value 500"),
        ("mnist-strokes", {"test_length": np.full(10_000, 2)}, "key 'test_length': the lengths add up to 20000"),
        ("mnist-strokes", {"split_val": split_indices()["split_train"][:2000]}, "digit 2 is in both"),
        ("mnist-strokes", {"split_test": np.full(2000, 10_000)}, "key 'split_test', row 0: value 10000"),
        ("mnist-strokes", {"train_y": np.full(60_000, 10)}, "key 'train_y', row 0: value 10 is outside 0..9"),
        ("uci-har", {"scale": np.ones(8)}, r"key 'scale': float64 of shape \(8,\)"),
        ("uci-har", {"y_test": np.full(2947, 7)}, r"key 'y_test', row 0: value 7 is outside 1\.\.6"),
        ("auslan", {"length": np.full(2565, 71), "x": np.zeros((2565 * 71, 22))}, "only 0 sequences of 70 steps"),
        ("auslan", {"length": np.zeros(2565, int)}, "key 'length', row 0: value 0 is outside 1"),
        (
            "auslan",
            {"class_names": np.array(["a"])},
            r"key 'class_names': <U1 of shape \(1,\), but text of shape \(95\)",
        ),
    ],
)
def test_packed_files_are_checked(no_local_data, tmp_path, name, change, message):
    arrays = {key: array for key, array in (MADE[name]() | change).items() if array is not None}
    np.savez(_folder(tmp_path, name) / f"{name}.npz", **arrays)
    with pytest.raises(DataError, match=rf"{name}\.npz[:,].* ?{message}"):
        load_dataset(name, data_dir=tmp_path)


def test_honest_splits_share_no_group(no_local_data, tmp_path):
    arrays = eeg()
    arrays["x"] += arrays["recording"][:, None]
    np.savez(_folder(tmp_path, "epileptic") / "epileptic.npz", **arrays)
    dataset = load_dataset("epileptic", data_dir=tmp_path, split="honest")
    groups = [set(p.features[:, 0].tolist()) for p in (dataset.train, dataset.val, dataset.test)]
    assert [len(g) for g in groups] == [320, 80, 100]
    assert len(set.union(*groups)) == 500

    arrays = har()
    arrays["x_train"] += arrays["subject_train"][:, None, None]
    np.savez(_folder(tmp_path, "uci-har") / "uci-har.npz", **arrays)
    dataset = load_dataset("uci-har", data_dir=tmp_path, split="honest")
    groups = [set(p.features[:, 0].tolist()) for p in (dataset.train, dataset.val)]
    assert [len(g) for g in groups] == [17, 4]
    assert len(set.union(*groups)) == 21
    assert len(dataset.test) == 2947
