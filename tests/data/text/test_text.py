"""Text: lengthened documents by hand, a vocabulary that reads back, reviews from files, and what is refused."""

import gzip
import json

import numpy as np
import pytest

from bitgate.data import Sequences, load_dataset
from bitgate.data.text.documents import lengthen, truncate
from bitgate.data.text.vocabulary import Vocabulary
from bitgate.errors import ArgumentError, DataError

tokenizers = pytest.importorskip("tokenizers", reason="needs bitgate[text]")
datasets = pytest.importorskip("datasets", reason="needs bitgate[text]")

WORDS = {0: "terrible boring awful waste worst", 1: "wonderful moving great lovely best"}


def texts(*lengths: int) -> list[np.ndarray]:
    """Text k is made of the token 100 + k alone."""
    return [np.full(length, 100 + k, np.int32) for k, length in enumerate(lengths)]


def runs_of(document: np.ndarray) -> list[tuple[int, int]]:
    """Tokens and how often each stands in a row."""
    edges = np.flatnonzero(np.diff(document)) + 1
    return [(int(part[0]), len(part)) for part in np.split(document, edges)]


def documents_of(found: Sequences) -> list[list[tuple[int, int]]]:
    return [runs_of(found[k][:, 0].astype(int)) for k in range(len(found))]


def test_documents_are_whole_texts_of_one_label_cut_at_the_end():
    labels = np.array([0, 0, 0, 1, 1])
    found = lengthen(texts(4, 4, 4, 9, 7), labels, 7, separator=1, seed=3)
    assert set(found.length) == {7}
    for document, label in zip(documents_of(found), found.labels, strict=True):
        assert all(token == 1 or labels[token - 100] == label for token, _ in document)
        if label == 0:  # 4 + 1 + 2: the second text is cut
            assert [count for _, count in document] == [4, 1, 2]
        else:
            assert [count for _, count in document] == [7]
    # Of label 0 the third text fills no document; of label 1 each does.
    assert sorted(found.labels) == [0, 1, 1]


def test_no_text_is_used_twice():
    found = lengthen(texts(*[3] * 40), np.zeros(40, np.int64), 11, separator=1, seed=0)
    used = [token for document in documents_of(found) for token, _ in document if token != 1]
    assert len(used) == len(set(used)) == 3 * len(found)
    other = lengthen(texts(*[3] * 40), np.zeros(40, np.int64), 11, separator=1, seed=1)
    assert documents_of(found) != documents_of(other)


def test_too_little_text_is_named():
    with pytest.raises(DataError, match=r"label 1: 1 texts do not fill one document of 9 tokens"):
        lengthen(texts(9, 8), np.array([0, 1]), 9, separator=1, seed=0)


def test_truncation_keeps_the_end():
    found = truncate([np.arange(5, dtype=np.int32), np.arange(2, dtype=np.int32)], np.array([0, 1]), 3)
    assert [found[k][:, 0].tolist() for k in (0, 1)] == [[2, 3, 4], [0, 1]]


def test_a_vocabulary_reads_back_and_is_cached(no_local_data):
    lines = [WORDS[0], WORDS[1], "naïve café"]
    vocabulary = Vocabulary.train(lines, 320)
    again = Vocabulary.train(lines, 320)
    assert vocabulary.size == again.size <= 320
    encoded = vocabulary.encode([*lines, "unseen: ☃", ""])
    assert all(np.array_equal(a, b) for a, b in zip(encoded, again.encode([*lines, "unseen: ☃", ""]), strict=True))
    assert vocabulary.decode(encoded[3]) == "unseen: ☃"
    assert encoded[4].tolist() == [vocabulary.separator]
    assert len(encoded[0]) < len(WORDS[0].encode()), "no byte pairs were learned"
    with pytest.raises(ArgumentError, match="size: 100 tokens, expected at least 300"):
        Vocabulary.train(lines, 100)


def write_reviews(folder, **replaced):
    """Forty reviews a part, in the form of the packed files."""
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        rows = []
        for k in range(40):
            words = rng.choice(WORDS[k % 2].split(), size=12)
            rows.append({"id": k, "label": k % 2, "rating": 1, "text": "<br />".join(words)} | replaced)
        (folder / "imdb").mkdir(parents=True, exist_ok=True)
        with gzip.open(folder / "imdb" / f"{part}.jsonl.gz", "wt") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


def test_reviews_from_files(no_local_data, tmp_path):
    write_reviews(tmp_path)
    dataset = load_dataset("imdb", data_dir=tmp_path, download=False)
    assert [len(part) for part in (dataset.train, dataset.val, dataset.test)] == [36, 4, 40]
    assert 300 < dataset.vocabulary_size <= 8000
    assert dataset.train.features.max() < dataset.vocabulary_size
    assert (dataset.class_names, dataset.input_size) == (("negative", "positive"), 1)
    again = load_dataset("imdb", data_dir=tmp_path, download=False)
    np.testing.assert_array_equal(dataset.test.features, again.test.features)


@pytest.mark.parametrize(
    ("replaced", "message"),
    [({"label": 3}, r"imdb: labels are \[3\], expected 0 and 1"), ({"text": None}, "some review has no text")],
)
def test_damaged_reviews_are_refused(no_local_data, tmp_path, replaced, message):
    write_reviews(tmp_path, **replaced)
    with pytest.raises(DataError, match=message):
        load_dataset("imdb", data_dir=tmp_path, download=False)


def test_missing_reviews_are_asked_for(no_local_data):
    with pytest.raises(DataError, match=r"imdb: not on this machine.*imdb/\*\.jsonl\.gz"):
        load_dataset("imdb-400", download=False)


@pytest.mark.slow
def test_the_real_reviews():
    from bitgate.data.text.reviews import find_files

    if find_files() is None:
        pytest.skip("needs the packed reviews in $BITGATE_DATA")
    dataset = load_dataset("imdb-1000", download=False)
    assert dataset.vocabulary_size == 8000
    assert set(dataset.train.length) == {1000}
    assert 5000 < len(dataset.train) < 9000
    assert abs(dataset.test.labels.mean() - 0.5) < 0.05
