"""The command line: ``bitgate VERB``, one verb per step."""

from bitgate.cli.main import main

__all__ = ["main"]
