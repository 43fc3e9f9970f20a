"""Argument parsing: jsonargparse with one-line errors, and the options that every verb has."""

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import jsonargparse

Arguments = jsonargparse.Namespace


class Parser(jsonargparse.ArgumentParser):
    """A parser whose errors are one clear line and exit code 2."""

    def format_help(self, *arguments: Any) -> str:
        """Help with options spelled with dashes, as on every command line."""
        return re.sub(r"--\w+", lambda option: option[0].replace("_", "-"), super().format_help(*arguments))

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Prints the message and the way to help, then exits."""
        text = " ".join(str(message).split())
        fail(f"{text} (see `{self.prog} --help`)")


def normalize(arguments: Sequence[str]) -> list[str]:
    """Options with dashes or underscores, lists as ``64,32`` and mappings as ``o=2,g=2``, in the parser's spelling."""
    result = []
    for argument in arguments:
        if argument.startswith("--"):
            name, equals, value = argument.partition("=")
            argument = name[:2] + name[2:].replace("-", "_") + equals + _bracketed(value)
        result.append(_bracketed(argument))
    return result


def _bracketed(value: str) -> str:
    if re.fullmatch(r"[\d.]+(,[\d.]+)+", value):
        return f"[{value}]"
    if re.fullmatch(r"[a-z]=\d+(,[a-z]=\d+)*", value):
        return "{" + value.replace("=", ": ").replace(",", ", ") + "}"
    return value


def fail(message: str) -> NoReturn:
    """Prints one line on stderr and exits with code 2."""
    print(f"bitgate: error: {message}", file=sys.stderr)
    sys.exit(2)


@dataclass(frozen=True)
class Verb:
    """A verb: what it says of itself, its arguments, and what it does.

    ``run`` returns what ``--json`` prints; without ``--json`` it has printed for people itself, if its second
    argument says so.
    """

    name: str
    help: str
    examples: str
    add_arguments: Callable[[Parser], None]
    run: Callable[[Arguments, bool], Any]
    prepare: Callable[[list[str]], list[str]] = lambda arguments: arguments


def make_parser(verb: Verb) -> Parser:
    """The parser of one verb."""
    parser = Parser(
        prog=f"bitgate {verb.name}",
        description=verb.help,
        epilog="examples:\n" + "\n".join(f"  {line}" for line in verb.examples.strip().splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    return parser


def close_matches(name: str, names: list[str]) -> str:
    """``did you mean ...`` for a mistyped name, or nothing."""
    matches = difflib.get_close_matches(name, names, n=2)
    return f"; did you mean {' or '.join(matches)}?" if matches else ""
