"""Each original format, read from a small file of that format that the test writes."""

import io
import tarfile
import zipfile

import numpy as np
import pytest

from bitgate.data.sources import auslan, epileptic, mnist_strokes, uci_har
from bitgate.data.sources.mnist_split import split_indices
from bitgate.data.sources.text import parse_rows, parse_whole
from bitgate.errors import DataError


@pytest.fixture
def tar(tmp_path):
    def write(members):
        path = tmp_path / "original.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, text in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))
        return path

    return write


@pytest.fixture
def zipped(tmp_path):
    def write(members, name="original.zip"):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w") as archive:
            for member, text in members.items():
                archive.writestr(member, text)
        return path

    return write


def test_rows_name_file_and_line():
    assert parse_rows("1 2\n\n3\t4\r\n", "a.txt", 2).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(DataError, match=r"a\.txt, line 3: 1 columns, but 2 are needed"):
        parse_rows("1 2\n\n3\n", "a.txt", 2)
    with pytest.raises(DataError, match=r"a\.txt, line 2: 'x' is not a number"):
        parse_rows("1 2\n3 x\n", "a.txt", 2)
    with pytest.raises(DataError, match=r"a\.txt: no numbers"):
        parse_rows("\n", "a.txt", 2)
    with pytest.raises(DataError, match=r"a\.txt, line 3: 1\.5 is not a whole number"):
        parse_whole("1\n\n1.5\n", "a.txt", 1)


STROKES = {
    "sequences/trainimg-1-inputdata.txt": "5 9 0 0\n0 1 0 0\n0 0 1 1\n",
    "sequences/trainimg-0-inputdata.txt": "11 9 0 0\n0 0 1 1\n",
    "sequences/trainimg-0-points.txt": "x,y\n1,2\n",
    "sequences/testimg-0-inputdata.txt": "8 9 0 0\n-1 0 0 0\n0 0 1 1\n",
    "sequences/trainlabels.txt": "5\n4\n",
    "sequences/testlabels.txt": "7\n",
}


def test_mnist_strokes(tar):
    arrays = mnist_strokes.parse(tar(STROKES))
    assert arrays["train_x"].tolist() == [[11, 9, 0, 0], [0, 0, 1, 1], [5, 9, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]]
    assert arrays["train_length"].tolist() == [2, 3]
    assert arrays["train_y"].tolist() == [5, 4]
    assert arrays["test_x"][1].tolist() == [-1, 0, 0, 0]
    assert [arrays[k].dtype for k in ("train_x", "train_length", "train_y")] == [np.int8, np.int16, np.uint8]
    with pytest.raises(DataError, match=r"trainlabels\.txt: not the 60000 labels of MNIST"):
        mnist_strokes.verify(arrays, "original.tar.gz")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sequences/testimg-0-inputdata.txt": "8 9 0 0\n0 0 1\n"}, r"testimg-0-inputdata\.txt, line 2: 3 columns"),
        ({"sequences/testimg-0-inputdata.txt": "8 9 0 0\n0 90 1 0\n"}, r"testimg-0.*row 1: value 90 is outside -28"),
        ({"sequences/trainlabels.txt": "5\n4\n1\n"}, "train digit 2 has no strokes or no label; 3 labels"),
        ({"sequences/trainlabels.txt": "5\n"}, "train digit 1 has no strokes or no label"),
        ({"sequences/trainlabels.txt": "5\n12\n"}, r"trainlabels\.txt', row 1: value 12 is outside 0\.\.9"),
        ({"sequences/testlabels.txt": None}, r"testlabels\.txt or every testimg-N-inputdata\.txt is missing"),
    ],
)
def test_mnist_strokes_malformed(tar, changed, message):
    members = {name: text for name, text in (STROKES | changed).items() if text is not None}
    with pytest.raises(DataError, match=rf"original\.tar\.gz.*{message}"):
        mnist_strokes.parse(tar(members))


def test_mnist_split_has_the_papers_sizes_and_shares_nothing():
    split = split_indices()
    assert [len(split[k]) for k in ("split_train", "split_val", "split_test")] == [10_000, 2_000, 2_000]
    assert not np.intersect1d(split["split_train"], split["split_val"]).size
    for key, n in (("split_train", 60_000), ("split_val", 60_000), ("split_test", 10_000)):
        assert split[key][0] >= 0
        assert split[key][-1] < n
        assert (np.diff(split[key]) > 0).all()


def glove(value, steps, separator="\t"):
    return "".join(separator.join(f"{value + t + j / 100:.6f}" for j in range(22)) + "\n" for t in range(steps))


SIGNS = {
    "tctodd1/hers-1.tsd": glove(0.5, 2),
    "./tctodd2/his_hers-3.tsd": glove(-1, 3, " "),
    "tctodd/tctodd2/flash-light-1.tsd": glove(7, 1),
    "tctodd1/README": "not a sign",
}


def test_auslan(tar):
    arrays = auslan.parse(tar(SIGNS))
    assert arrays["class_names"].tolist() == ["flash-light", "his_hers"]
    assert arrays["y"].tolist() == [0, 1, 1]
    assert arrays["length"].tolist() == [1, 2, 3]
    assert arrays["session"].tolist() == [2, 1, 2]
    assert arrays["rep"].tolist() == [1, 1, 3]
    np.testing.assert_array_equal(arrays["x"][:, 21], np.float32([7.21, 0.71, 1.71, -0.79, 0.21, 1.21]))
    with pytest.raises(DataError, match="recordings: 3, but the published data has 2565"):
        auslan.verify(arrays, "original.tar.gz")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"tctodd1/alive-1.tsd": glove(0, 1) + "1\t2\n"}, r"alive-1\.tsd, line 2: 2 columns, but 22"),
        ({"tctodd1/alive-1.tsd": glove(0, 1).replace("0.01", "O.01")}, r"line 1: 'O\.010000' is not a number"),
        ({"tctodd1/alive.tsd": glove(0, 1)}, r"member tctodd1/alive\.tsd: the name must be like"),
        ({"README": ""}, r"no \.tsd file"),
    ],
)
def test_auslan_malformed(tar, members, message):
    with pytest.raises(DataError, match=rf"original\.tar\.gz.*{message}"):
        auslan.parse(tar(members))


def test_damaged_tar(tar, tmp_path):
    path = tar(SIGNS)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"original\.tar\.gz: damaged archive"):
        auslan.parse(path)
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match=r"original\.tar\.gz: damaged archive"):
        auslan.parse(path)


def eeg(*rows):
    header = ",".join(['""', *(f'"X{j + 1}"' for j in range(178)), '"y"'])
    lines = [",".join([name, *(str(first + j) for j in range(178)), str(y)]) for name, first, y in rows]
    return "\n".join([header, *lines]) + "\n"


# Real row names of the UCI file with the recording in which those samples stand.
ROW_NAMES = {
    "X21.V1.791": 379, "X15.V1.924": 92, "X8.V1.1": 401, "X16.V1.60": 460, "X3.V1.191": 319, "X11.V1.273": 127,
    "X3.V1.6": 406, "X7.V1.162": 216, "X22.V1.114": 101, "X10.V1.932": 293, "X16.V1.210": 302,
}  # fmt: skip


def test_recording_of_real_row_names():
    recordings = epileptic.recording_of_name()
    assert sorted(recordings.values()) == list(range(500))
    for name, recording in ROW_NAMES.items():
        assert recordings[name.partition(".")[2]] == recording


@pytest.mark.parametrize("as_zip", [False, True])
def test_epileptic(tmp_path, zipped, as_zip):
    text = eeg(("X2.V1.1", 10, 5), ("X23.V14", -900, 1), ("X1.V1.1", 7, 5))
    path = zipped({"data.csv": text}) if as_zip else tmp_path / "data.csv"
    if not as_zip:
        path.write_text(text)
    arrays = epileptic.parse(path)
    assert arrays["recording"].tolist() == [0, 401, 401]
    assert arrays["chunk"].tolist() == [22, 0, 1]
    assert arrays["x"][:, 0].tolist() == [-900, 7, 10]
    assert arrays["y"].tolist() == [1, 5, 5]
    assert arrays["recording_name"][[0, 401]].tolist() == ["S001", "Z002"]
    with pytest.raises(DataError, match="3 rows, but the published file has 11500"):
        epileptic.verify(arrays, path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the columns must be"),
        (eeg(("X2.V1.1", 1, 5)).replace("X178", "X179"), "line 1: the columns must be"),
        (eeg(("X1.V1", 1, 5), ("X24.V1.1", 1, 5)), r"line 3: row name 'X24\.V1\.1'"),
        (eeg(("X2.V2.1", 1, 5)), r"line 2: row name 'X2\.V2\.1', but it must be like X21\.V1\.791"),
        (eeg(("X2.V1.1", 1, 5), ("X2.V1.1", 3, 5)), r"row name X2\.V1\.1 comes twice"),
        (eeg(("X3.V1", 1, 5), ("X2.V1.1", 1, 4)), r"line 3: y is 4, but X2\.V1\.1 is of class 5"),
        (eeg(("X2.V1.1", 99_000, 5)), "a sample of 99177"),
        (eeg(("X2.V1", 1, 5)).replace(",6,", ",,"), "line 2: 178 columns, but 179"),
        (eeg(("X2.V1", 1, 5)).replace(",6,", ",six,"), "line 2: 'six' is not a number"),
        (eeg(("X2.V1", 1, 5)).replace(",6,", ",6.5,"), "line 2: 6.5 is not a whole number"),
        (eeg(), "no numbers"),
    ],
)
def test_epileptic_malformed(tmp_path, text, message):
    path = tmp_path / "data.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"data\.csv.*{message}"):
        epileptic.parse(path)


def test_epileptic_zip_needs_one_table(zipped):
    with pytest.raises(DataError, match=r"original\.zip: 0 \.csv files"):
        epileptic.parse(zipped({"README": ""}))


def har():
    members = {}
    for part, windows, subjects in (("train", 2, "1\n3\n"), ("test", 1, "2\n")):
        for j, channel in enumerate(uci_har._CHANNELS):
            lines = [" ".join(f"{(w + 1) * (j + 1) * 1e-1:.7e}" for _ in range(128)) for w in range(windows)]
            members[f"UCI HAR Dataset/{part}/Inertial Signals/{channel}_{part}.txt"] = "  " + "\n  ".join(lines) + "\n"
        members[f"UCI HAR Dataset/{part}/y_{part}.txt"] = "5\n6\n"[: 2 * windows]
        members[f"UCI HAR Dataset/{part}/subject_{part}.txt"] = subjects
    return members


@pytest.mark.parametrize("nested", [False, True])
def test_uci_har(zipped, nested):
    path = zipped(har(), "UCI HAR Dataset.zip")
    if nested:
        path = zipped({"UCI HAR Dataset.names": "", "UCI HAR Dataset.zip": path.read_bytes()}, "outer.zip")
    arrays = uci_har.parse(path)
    assert arrays["x_train"].shape == (2, 128, 9)
    assert arrays["y_train"].tolist() == [5, 6]
    assert arrays["subject_train"].tolist() == [1, 3]
    values = arrays["x_train"][:, 5] * arrays["scale"]
    wanted = np.outer([0.1, 0.2], np.arange(1, 10))
    assert (np.abs(values - wanted) <= arrays["scale"] / 2 + 1e-7).all()
    with pytest.raises(DataError, match=r"y_train\.txt: \[0, 0, 0, 0, 1, 1\] windows per activity"):
        uci_har.verify(arrays, path)


@pytest.mark.parametrize(
    ("member", "text", "message"),
    [
        ("train/y_train.txt", None, r"'UCI HAR Dataset/train/y_train\.txt' is missing"),
        ("train/subject_train.txt", "1\n", r"subject_train\.txt: 1 lines, but y_train\.txt has 2"),
        ("train/subject_train.txt", "1\n31\n", r"subject_train\.txt', row 1: value 31 is outside 1\.\.30"),
        ("test/Inertial Signals/total_acc_z_test.txt", "1 2\n", r"total_acc_z_test\.txt, line 1: 2 columns"),
        ("test/Inertial Signals/body_acc_x_test.txt", "9 " * 128, r"body_acc_x_test\.txt, line 1: a value beyond"),
        ("test/Inertial Signals/body_acc_x_test.txt", "nan " * 128, r"body_acc_x_test\.txt, line 1: a value beyond"),
        ("test/Inertial Signals/body_acc_x_test.txt", ("1 " * 128 + "\n") * 2, "2 lines, but y_test"),
    ],
)
def test_uci_har_malformed(zipped, member, text, message):
    members = har() | {f"UCI HAR Dataset/{member}": text}
    path = zipped({name: content for name, content in members.items() if content is not None})
    with pytest.raises(DataError, match=rf"original\.zip.*{message}"):
        uci_har.parse(path)
