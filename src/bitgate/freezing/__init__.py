"""Freezing: from a torch model to the integers of docs/arithmetic.md. The only package that knows both sides."""

from bitgate.freezing.integers import integer_levels
from bitgate.freezing.model import as_sequences, freeze
from bitgate.nn.rounding import DEFAULT_INPUT_RANGE

__all__ = ["DEFAULT_INPUT_RANGE", "as_sequences", "freeze", "integer_levels"]
