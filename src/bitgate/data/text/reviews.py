"""Large Movie Review Dataset (Maas et al., ACL 2011) as token sequences: reviews, or lengthened documents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitgate.data.download import cache_folder, folders
from bitgate.data.sequences import Dataset, Sequences
from bitgate.data.sources.source import Card, Parts, permutation
from bitgate.data.text.documents import lengthen, truncate
from bitgate.data.text.vocabulary import Tokens, Vocabulary, digest
from bitgate.errors import DataError, ToolError

VOCABULARY_SIZE = 8000
REVIEW_TOKENS = 400
HUB_NAME = "stanfordnlp/imdb"
CLASS_NAMES = ("negative", "positive")
CREDIT = "Maas et al., Large Movie Review Dataset, ACL 2011"

_PARTS = ("train", "test")
_TRAIN_SHARE = 0.9  # 22500 of 25000; the rest validates


@dataclass(frozen=True)
class Reviews:
    """Texts and labels (0 negative, 1 positive) of one official part."""

    texts: list[str]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class TextSource:
    """A data set of texts: its card, where its files are, and how to load it."""

    card: Card
    find: Callable[[str | Path | None], Path | None]
    load: Callable[[str | Path | None, bool], Dataset]


def find_files(data_dir: str | Path | None = None) -> Path | None:
    """The folder that holds train.jsonl.gz and test.jsonl.gz, if some folder of data has it."""
    for folder in folders(data_dir):
        if all((folder / "imdb" / f"{part}.jsonl.gz").is_file() for part in _PARTS):
            return folder / "imdb"
    return None


def read_reviews(data_dir: str | Path | None = None, download: bool = True) -> dict[str, Reviews]:
    """Both official parts, from local files or from the hub of Hugging Face, by the library datasets.

    Raises:
        ToolError: the library is not installed.
        DataError: there are no files and no download, or what is found has no texts and labels.
    """
    try:
        import datasets
    except ImportError as error:
        raise ToolError("text needs the libraries datasets and tokenizers: pip install 'bitgate[text]'") from error
    datasets.disable_progress_bars()
    folder = find_files(data_dir)
    cache = str(cache_folder() / "huggingface")
    if folder is None and not download:
        raise DataError("imdb: not on this machine; allow the download, or give a folder that holds imdb/*.jsonl.gz")
    try:
        if folder is None:
            found = datasets.load_dataset(HUB_NAME, cache_dir=cache)
        else:
            files = {part: str(folder / f"{part}.jsonl.gz") for part in _PARTS}
            found = datasets.load_dataset("json", data_files=files, cache_dir=cache)
        return {part: _reviews(found[part]) for part in _PARTS}
    except (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        where = folder if folder is not None else f"the hub's {HUB_NAME}"
        raise DataError(f"imdb: {where} is not usable: {reason}") from error


def _reviews(table: Any) -> Reviews:
    if not all(isinstance(text, str) for text in table["text"]):
        raise DataError("imdb: some review has no text")
    texts = [text.replace("<br />", " ") for text in table["text"]]
    labels = np.array(table["label"], np.int64)
    if not len(labels) or not set(np.unique(labels)) <= {0, 1}:
        raise DataError(f"imdb: labels are {sorted(set(labels.tolist()))[:4]}, expected 0 and 1")
    return Reviews(texts, labels)


def _encode(parts: dict[str, Reviews], vocabulary: Vocabulary, key: str) -> dict[str, list[Tokens]]:
    """Token numbers of all reviews, from the cache where they were made before: flat and memory-mapped."""
    encoded = {}
    for part, reviews in parts.items():
        path = cache_folder() / "text" / f"tokens-{key}-{digest(reviews.texts)}"
        path.mkdir(parents=True, exist_ok=True)
        if not (path / "length.npy").is_file():
            texts = vocabulary.encode(reviews.texts)
            # The lengths last: they tell that the tokens are complete.
            for name, array in (("tokens", np.concatenate(texts)), ("length", np.array([len(t) for t in texts]))):
                np.save(path / f"{name}.tmp.npy", array)
                (path / f"{name}.tmp.npy").replace(path / f"{name}.npy")
        flat, length = np.load(path / "tokens.npy", mmap_mode="r"), np.load(path / "length.npy")
        encoded[part] = np.split(flat, np.cumsum(length)[:-1])
    return encoded


def load_imdb(tokens: int | None, data_dir: str | Path | None, download: bool) -> Dataset:
    """Reviews cut to their last 400 tokens (``tokens`` None), or documents of ``tokens`` tokens (documents.py).

    The last tenth of a fixed random order of the training part validates; the vocabulary knows the rest alone.
    """
    parts = read_reviews(data_dir, download)
    train = parts["train"]
    order = permutation(len(train.texts))
    n_train = round(_TRAIN_SHARE * len(order))
    vocabulary = Vocabulary.train([train.texts[k] for k in order[:n_train]], VOCABULARY_SIZE)
    encoded = _encode(parts, vocabulary, f"{VOCABULARY_SIZE}-{digest([train.texts[k] for k in order[:n_train]])}")

    def make(texts: list[Tokens], labels: NDArray[np.int64], seed: int) -> Sequences:
        if tokens is None:
            return truncate(texts, labels, REVIEW_TOKENS)
        return lengthen(texts, labels, tokens, separator=vocabulary.separator, seed=seed)

    chosen = np.split(order, [n_train])
    learned = [make([encoded["train"][k] for k in part], train.labels[part], seed) for seed, part in enumerate(chosen)]
    test = make(encoded["test"], parts["test"].labels, 2)
    card = IMDB["imdb" if tokens is None else f"imdb-{tokens}"].card
    dataset = card.dataset(Parts(learned[0], learned[1], test), CLASS_NAMES, "paper")
    return dataset.with_vocabulary(vocabulary.size)


def _source(tokens: int | None) -> TextSource:
    name = "imdb" if tokens is None else f"imdb-{tokens}"
    length = f"1-{REVIEW_TOKENS}" if tokens is None else str(tokens)
    card = Card(name, 50_000, ("token",), len(CLASS_NAMES), length, CREDIT)
    return TextSource(card, find_files, lambda data_dir, download: load_imdb(tokens, data_dir, download))


IMDB = {source.card.name: source for source in map(_source, (None, 400, 1000, 2000))}
"""By name: the reviews, and documents of 400, 1000 and 2000 tokens."""
