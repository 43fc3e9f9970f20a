"""Training of language models: batches of a stream, a text that is learned, and interruption."""

import dataclasses

import numpy as np
import pytest
import torch

from bitgate.data.text.corpus import load_corpus
from bitgate.errors import ArgumentError, DataError, UnsupportedError
from bitgate.nn import LanguageModel
from bitgate.train import FitConfig, Run, fit, load_run_dataset
from bitgate.train.language import StreamBatches, perplexity

pytest.importorskip("tokenizers")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "verse.txt"
    path.write_text("".join(f"the {color} cat sat on the {color} mat\n\n" for color in ("red", "blue") * 100))
    return path


def config_of(text, **changes):
    given = {"data": str(text), "runs_dir": str(text.parent / "runs"), "hidden_sizes": (16,), "embedding_size": 16}
    given |= {"weights": "continuous", "coupled": False, "vocabulary_size": 300, "bptt_steps": 8, "batch_size": 4}
    return FitConfig(**(given | {"epochs": 6, "learning_rate": 0.02, "name": "lm"} | changes))


@pytest.mark.parametrize(("n", "rows", "steps"), [(50, 4, 5), (41, 4, 7), (9, 4, 100), (1001, 1, 10)])
def test_batches_go_on_where_the_last_ended(n, rows, steps):
    stream = np.arange(n, dtype=np.int32)
    batches = StreamBatches(stream, rows, steps)
    found = list(batches)
    assert len(found) == len(batches)
    x, y = (torch.cat([batch[k] for batch in found], dim=1) for k in (0, 1))
    columns = (n - 1) // rows
    assert torch.equal(x, torch.arange(rows * columns).reshape(rows, columns))
    assert torch.equal(y, x + 1)


def test_too_short_a_stream_is_refused():
    with pytest.raises(DataError, match="too few for 8 rows"):
        StreamBatches(np.arange(8, dtype=np.int32), 8, 4)


def test_a_corpus_is_split_in_order_and_cached(text):
    first, again = load_corpus(str(text), 300), load_corpus(str(text), 300)
    lines = [" ".join(first.vocabulary.decode(part).split()) for part in (first.train, first.val, first.test)]
    assert lines[0].startswith("the red cat sat")
    assert len(first.train) > 10 * len(first.val)
    assert isinstance(again.train, np.memmap)
    assert np.array_equal(first.train, again.train)
    assert first.train.dtype == np.int32
    assert int(first.train[-1]) == first.vocabulary.separator


def test_an_untrained_model_is_about_as_perplexed_as_a_die(text):
    corpus = load_corpus(str(text), 300)
    torch.manual_seed(0)
    model = LanguageModel(corpus.vocabulary_size, (8,), embedding_size=8)
    assert perplexity(model, corpus.test) == pytest.approx(corpus.vocabulary_size, rel=0.3)


@pytest.mark.parametrize("options", [{"cell": "lstm", "tied": True}, {"cell": "ql_lstm", "block_size": 4}])
def test_a_text_is_learned_and_the_state_helps(text, options):
    result = fit(config_of(text, **options), progress=False)
    # A line is one bit, its color; all else follows.
    assert result["perplexity"] < 1.5
    assert result["recurrent_parameters"] < result["parameters"]


def test_an_interrupted_run_ends_as_an_uninterrupted_one(text):
    whole = fit(config_of(text, cell="ql_lstm", learning_rate_schedule="constant", epochs=3), progress=False)
    part = config_of(text, cell="ql_lstm", learning_rate_schedule="constant", epochs=1, name="part")
    fit(part, progress=False)
    longer = dataclasses.replace(part, epochs=3)
    run = Run(text.parent / "runs" / "part")
    run.write_config(longer)
    run.result_file.unlink()
    resumed = fit(longer, resume=True, progress=False)
    assert resumed["perplexity"] == whole["perplexity"]


def test_what_only_classifiers_have_is_refused(text):
    with pytest.raises(ArgumentError, match="teachers: 1, but a language model"):
        fit(config_of(text, teachers=1, weights="ternary"), progress=False)
    with pytest.raises(UnsupportedError, match="running text"):
        load_run_dataset(config_of(text))


def test_texts_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        load_corpus(str(tmp_path / "none.txt"))
    short = tmp_path / "short.txt"
    short.write_text("one line\n")
    with pytest.raises(DataError, match="1 lines that are not empty"):
        load_corpus(str(short))
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="no UTF-8 text"):
        load_corpus(str(tmp_path / "binary.txt"))
    with pytest.raises(ArgumentError, match=r"expected wikitext-103 or the path of a \.txt file"):
        load_corpus("imdb")


def test_wikitext_comes_from_the_hub_by_name(monkeypatch, text):
    datasets = pytest.importorskip("datasets")
    asked = []

    def load(*names, cache_dir):
        asked.append(names)
        lines = text.read_text().split("\n")
        return {"train": {"text": lines}, "validation": {"text": lines[:9]}, "test": {"text": lines[:5]}}

    monkeypatch.setattr(datasets, "load_dataset", load)
    corpus = load_corpus("wikitext-103", 300)
    assert asked == [("Salesforce/wikitext", "wikitext-103-raw-v1")]
    assert len(corpus.train) > len(corpus.val) > len(corpus.test)

    def fail(*names, cache_dir):
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=r"wikitext-103: the hub's Salesforce/wikitext is not usable: no network"):
        load_corpus("wikitext-103", 300)
