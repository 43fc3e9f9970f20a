"""Text as sequences of token numbers: reviews, a vocabulary, lengthened documents. Needs ``bitgate[text]``."""

from bitgate.data.text.reviews import IMDB, Reviews, TextSource

__all__ = ["IMDB", "Reviews", "TextSource"]
