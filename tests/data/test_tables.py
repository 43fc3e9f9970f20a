import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from bitgate.data import load_file_dataset, read_sequences
from bitgate.errors import DataError

ROWS = """\
sequence,step,ax,ay,label
walk-2,1,2.5,7,walk
run-1,0,10,8,run
walk-2,0,1.5,6,walk
run-1,2,12,10,run
run-1,1,11,9,run
"""


@pytest.fixture
def csv(tmp_path):
    def write(text):
        path = tmp_path / "mine.csv"
        path.write_text(text)
        return path

    return write


def test_csv_is_put_in_order(csv):
    sequences, classes, features = read_sequences(csv(ROWS))
    assert sequences.length.tolist() == [2, 3]
    np.testing.assert_array_equal(sequences.features, [[1.5, 6], [2.5, 7], [10, 8], [11, 9], [12, 10]])
    assert sequences.labels.tolist() == [1, 0]
    assert (classes, features) == (("run", "walk"), ("ax", "ay"))


def test_parquet_equals_csv(csv, tmp_path):
    columns = {
        "sequence": ["walk-2", "run-1", "walk-2", "run-1", "run-1"],
        "step": [1, 0, 0, 2, 1],
        "ax": pa.array([2.5, 10, 1.5, 12, 11], pa.float32()),
        "ay": [7, 8, 6, 10, 9],
        "label": pa.array(["walk", "run", "walk", "run", "run"]).dictionary_encode(),
    }
    path = tmp_path / "mine.parquet"
    parquet.write_table(pa.table(columns), path)
    a, b = read_sequences(path), read_sequences(csv(ROWS))
    np.testing.assert_array_equal(a[0].features, b[0].features)
    assert a[0].labels.tolist() == b[0].labels.tolist()
    assert a[1:] == b[1:]


def test_whole_number_labels_and_steps_from_one(csv):
    text = "sequence,step,x,label\n" + "".join(f"{s},{t},{s * t},{s % 3 * 5}\n" for s in range(6) for t in (1, 2))
    dataset = load_file_dataset(csv(text))
    assert dataset.class_names == ("0", "5", "10")
    assert [len(dataset.train), len(dataset.val), len(dataset.test)] == [4, 1, 1]


def test_without_label_column(csv):
    sequences, classes, _ = read_sequences(csv("sequence,step,x\n3,0,1\n"))
    assert (sequences.labels, classes) == (None, ())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("run-1,2,12", "run-1,3,12", "sequence run-1: step 2 is missing"),
        ("run-1,2,12", "run-1,1,12", "sequence run-1: step 1 comes twice"),
        ("walk-2,0,1.5,6", "walk-2,5,1.5,6", "sequence walk-2: step 2 is missing"),
        ("walk-2,0,1.5,6,walk\n", "walk-2,2,1.5,6,walk\nold,4,0,0,run\n", "sequence old: the first step is 4"),
        ("run-1,2,12,10,run", "run-1,2,12,10,walk", "sequence run-1: the label changes from run to walk"),
        ("2.5", "", r"column 'ax', row 0: no value"),
        ("walk-2,1,2.5", "walk-2,1,-inf", "sequence 0, step 1, feature 0 is -inf"),
        (",8,", ",eight,", "column 'ay': string, but numbers are needed"),
        ("run-1,2,", "run-1,2.5,", "column 'step': double, but whole numbers are needed"),
        ("sequence,", "series,", "column 'sequence' is missing; found series, step, ax"),
        ("run-1,0,10,8,run", "run-1,0,10", "not a readable table"),
    ],
)
def test_bad_tables(csv, old, new, message):
    assert old in ROWS
    with pytest.raises(DataError, match=rf"mine\.csv.*{message}"):
        read_sequences(csv(ROWS.replace(old, new)))


def test_no_features_no_rows_no_parquet(csv, tmp_path):
    with pytest.raises(DataError, match="0 feature columns and 1 rows"):
        read_sequences(csv("sequence,step,label\n0,0,1\n"))
    with pytest.raises(DataError, match="1 feature columns and 0 rows"):
        read_sequences(csv("sequence,step,x\n"))
    (tmp_path / "x.parquet").write_bytes(b"not parquet")
    with pytest.raises(DataError, match=r"x\.parquet: not a readable table"):
        read_sequences(tmp_path / "x.parquet")


def test_unknown_label_for_a_trained_model(csv):
    with pytest.raises(DataError, match="sequence 1: unknown label 'run'; known are sit, walk"):
        read_sequences(csv(ROWS), class_names=("sit", "walk"))
