"""Argument parsing: jsonargparse with one-line errors, and the options that every verb has."""

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
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
        text = _dashed(_plain(" ".join(str(message).split())))
        if text.startswith("unrecognized arguments: --"):
            text += close_matches(option(text.split()[2][2:]), [option(action.dest) for action in self._actions])
        fail(f"{text} (see `{self.prog} --help`)")


def _dashed(text: str) -> str:
    return re.sub(r"--\w+", lambda found: found[0].replace("_", "-"), text)


_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "tuple": "numbers such as 64,32",
    "dict": "a mapping such as o=2,g=2",
}


def _plain(message: str) -> str:
    """The parser's message in the words of the command line: the option, what it may be, what it is."""
    match = re.match(r'Parser key "(\w+)": (.*?)(?:[.]? (?:Got|Given) value: (.*))?$', message)
    if match is None:
        return message
    name, reason, value = match.groups()
    kinds = re.findall(r"<class '(\w+)'>|'([\w.-]+)'|\b(tuple)\[", reason.split(" Errors: ")[0])
    words = dict.fromkeys(text or _KINDS.get(kind or item, "") for kind, text, item in kinds)
    expected = " or ".join(word for word in words if word)
    return f"{option(name)}: " + (f"expected {expected}, got {value}" if value and expected else reason)


def option(name: str) -> str:
    """``--learning-rate`` for ``learning_rate``."""
    return "--" + name.replace("_", "-")


_LISTS = ("--hidden_sizes", "--prior")


def normalize(arguments: Sequence[str]) -> list[str]:
    """Options with dashes or underscores, lists as ``64,32`` and mappings as ``o=2,g=2``, in the parser's spelling."""
    result: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument.startswith("--"):
            name = "--" + name[2:].replace("-", "_")
            result.append(name + equals + _bracketed(value, is_list=name in _LISTS))
        else:
            result.append(_bracketed(argument, is_list=bool(result) and result[-1] in _LISTS))
    return result


def _bracketed(value: str, *, is_list: bool) -> str:
    if re.fullmatch(r"[\d.]+(,[\d.]+)+", value) or (is_list and re.fullmatch(r"[\d.]+", value)):
        return f"[{value}]"
    if re.fullmatch(r"[a-z]=\d+(,[a-z]=\d+)*", value):
        return "{" + value.replace("=", ": ").replace(",", ", ") + "}"
    return value


def output_file(path: str | Path) -> Path:
    """The path of a file to write, refused before any work is done if it cannot be one."""
    target = Path(path)
    if not target.parent.is_dir():
        fail(f"output: folder {target.parent} does not exist; create it first")
    if target.is_dir():
        fail(f"output: {target} is a folder, expected the name of a file")
    return target


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
