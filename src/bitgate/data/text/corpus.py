"""One long stream of tokens for a language model: any text file, or WikiText-103 by the library datasets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitgate.data.download import cache_folder
from bitgate.data.text.vocabulary import Tokens, Vocabulary, digest
from bitgate.errors import ArgumentError, DataError, ToolError

WIKITEXT = "wikitext-103"
_HUB = ("Salesforce/wikitext", "wikitext-103-raw-v1")
_PARTS = {"train": "train", "val": "validation", "test": "test"}
_SHARES = (0.9, 0.95)
_PIECE = 10_000


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text in three parts of consecutive tokens; a separator stands behind each line.

    Attributes:
        name: what it was loaded by.
        train: tokens to learn from, (N,) int32, mapped from a file.
        val: tokens to choose with.
        test: tokens to report on.
        vocabulary: what the tokens are; learned from the training part alone.
    """

    name: str
    train: Tokens
    val: Tokens
    test: Tokens
    vocabulary: Vocabulary

    @property
    def vocabulary_size(self) -> int:
        """Number of different tokens."""
        return self.vocabulary.size


def is_corpus(name: str) -> bool:
    """Whether ``--data`` names running text: "wikitext-103", or a .txt file."""
    return name == WIKITEXT or Path(name).suffix.lower() == ".txt"


def load_corpus(name: str, vocabulary_size: int = 8000) -> Corpus:
    """A text file, or "wikitext-103" from the hub; the tokens are made once and kept in the cache.

    The lines of a file are split in their order: the first 90 % train, then 5 % validate, the rest tests.

    Raises:
        ArgumentError: neither of both, or too small a vocabulary.
        DataError: the file is missing, no UTF-8 or too short, or the hub cannot be reached.
        ToolError: a library of the extra ``text`` is not installed.
    """
    if not is_corpus(name):
        raise ArgumentError(f"data: {name!r}, expected {WIKITEXT} or the path of a .txt file")
    lines = _wikitext() if name == WIKITEXT else _file_lines(Path(name))
    vocabulary = Vocabulary.train(lines["train"], vocabulary_size)
    key = digest(lines["train"])
    tokens = {part: _tokens(lines[part], vocabulary, f"{vocabulary_size}-{key}") for part in _PARTS}
    return Corpus(name, **tokens, vocabulary=vocabulary)


def _file_lines(path: Path) -> dict[str, list[str]]:
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except FileNotFoundError:
        raise DataError(f"data: there is no file {path}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: no UTF-8 text ({error.reason} at byte {error.start})") from error
    if len(lines) < 20:
        raise DataError(f"{path}: {len(lines)} lines that are not empty, expected at least 20 to split in three parts")
    first, second = (round(share * len(lines)) for share in _SHARES)
    return {"train": lines[:first], "val": lines[first:second], "test": lines[second:]}


def _wikitext() -> dict[str, list[str]]:
    try:
        import datasets
    except ImportError as error:
        raise ToolError("text needs the libraries datasets and tokenizers: pip install 'bitgate[text]'") from error
    try:
        found: Any = datasets.load_dataset(*_HUB, cache_dir=str(cache_folder() / "huggingface"))
        return {part: [line for line in found[theirs]["text"] if line.strip()] for part, theirs in _PARTS.items()}
    except (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{WIKITEXT}: the hub's {_HUB[0]} is not usable: {reason}") from error


def _tokens(lines: Sequence[str], vocabulary: Vocabulary, key: str) -> Tokens:
    path = cache_folder() / "text" / f"stream-{key}-{digest(lines)}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own for each process: several may make the same file at once.
        temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp.npy")
        np.save(temporary, np.concatenate(list(_encoded(lines, vocabulary))))
        temporary.replace(path)
    found: NDArray[np.int32] = np.load(path, mmap_mode="r")
    return found


def _encoded(lines: Sequence[str], vocabulary: Vocabulary) -> Iterator[Tokens]:
    end = np.array([vocabulary.separator], np.int32)
    for begin in range(0, len(lines), _PIECE):
        for tokens in vocabulary.encode(lines[begin : begin + _PIECE]):
            yield from (tokens, end)
