"""The one family of errors that bitgate raises on purpose.

Every message names the argument or file, the value that was found and what would have been right, so
that the fix can be read off it. ``BitgateError`` catches them all.
"""


class BitgateError(Exception):
    """Base class: anything that bitgate refuses, with a message meant for its user."""


class ArgumentError(BitgateError, ValueError):
    """An argument or configuration value that makes no sense."""


class ShapeError(ArgumentError):
    """An array or tensor of the wrong shape or type."""


class DataError(BitgateError, ValueError):
    """A data set that is missing, damaged or not what it claims to be."""


class FormatError(BitgateError, ValueError):
    """A model file that is damaged, hostile or of an unknown version."""


class UnsupportedError(BitgateError):
    """A model that the requested operation cannot express; nothing approximate is done instead."""


class ToolError(BitgateError, RuntimeError):
    """An outside tool (compiler, emulator) that is missing or failed."""
