"""Byte-level BPE vocabularies, trained on the training part alone and kept in the user's cache.

Byte pairs rather than words: no text is out of the vocabulary, so a few thousand tokens do for every data set.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitgate.data.download import cache_folder
from bitgate.errors import ArgumentError, ToolError

Tokens = NDArray[np.int32]

SEPARATOR = "[SEP]"
_SMALLEST = 300  # the 256 bytes, the separator, and some pairs


def digest(texts: Sequence[str]) -> str:
    """A short hash of texts and their order."""
    found = hashlib.sha256()
    for text in texts:
        found.update(len(text).to_bytes(8, "little"))
        found.update(text.encode())
    return found.hexdigest()[:16]


class Vocabulary:
    """Texts to token numbers."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def train(cls, texts: Sequence[str], size: int) -> Vocabulary:
        """The vocabulary of some texts; from the cache where it was trained on the same texts before.

        Args:
            texts: what to learn byte pairs from: the training part.
            size: number of tokens, at least 300.

        Raises:
            ArgumentError: ``size`` is too small.
            ToolError: the library tokenizers is not installed.
        """
        if size < _SMALLEST:
            raise ArgumentError(f"size: {size} tokens, expected at least {_SMALLEST}: every byte is one")
        library = _tokenizers()
        path = cache_folder() / "text" / f"vocabulary-{digest(texts)}-{size}.json"
        if path.is_file():
            return cls(library.Tokenizer.from_file(str(path)))
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.normalizer = library.normalizers.Sequence(
            [library.normalizers.NFKC(), library.normalizers.Lowercase()]
        )
        tokenizer.decoder = library.decoders.ByteLevel()
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=True)
        trainer = library.trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=[SEPARATOR],
            initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            written = Path(scratch) / path.name
            tokenizer.save(str(written))
            written.replace(path)
        return cls(tokenizer)

    @property
    def size(self) -> int:
        """Number of tokens."""
        return int(self._tokenizer.get_vocab_size())

    @property
    def separator(self) -> int:
        """The token between the texts of a document."""
        return int(self._tokenizer.token_to_id(SEPARATOR))

    def decode(self, tokens: Tokens) -> str:
        """The text of some tokens, in the normal form the vocabulary works on (lower case)."""
        return str(self._tokenizer.decode(tokens.tolist())).removeprefix(" ")

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """Token numbers of each text; an empty text is the separator alone, because a sequence needs a step."""
        encoded = self._tokenizer.encode_batch_fast(list(texts))
        return [np.array(entry.ids or [self.separator], np.int32) for entry in encoded]


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise ToolError("text needs the libraries tokenizers and datasets: pip install 'bitgate[text]'") from error
    return tokenizers
