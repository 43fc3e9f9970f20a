"""Dispatch of the verbs."""

import json
import sys
from collections.abc import Sequence
from importlib import import_module

from bitgate import __version__
from bitgate.cli.parser import Verb, close_matches, fail, make_parser, normalize
from bitgate.errors import BitgateError

VERBS: dict[str, tuple[str, str]] = {
    "demo": ("bitgate.cli.demo", "the whole way in two minutes: train, freeze, export, compile, compare"),
    "fit": ("bitgate.cli.fit", "train a model"),
    "eval": ("bitgate.cli.evaluate", "test a trained model: sample, MAP and ensemble accuracy"),
    "freeze": ("bitgate.cli.freeze", "turn a trained model into integers"),
    "info": ("bitgate.cli.info", "bits, bytes and operations of a model; what this installation can do"),
    "export": ("bitgate.cli.export", "write a frozen model as C, ONNX or WebAssembly"),
    "verify": ("bitgate.cli.verify", "run the exported C in an emulated processor and compare every integer"),
    "run": ("bitgate.cli.run", "predict the classes of a file of sequences"),
    "analyze": ("bitgate.cli.analyze", "cost and memory of recurrent layers, trained or not"),
    "bench": ("bitgate.cli.bench", "speed against other runtimes on this machine"),
    "reproduce": ("bitgate.cli.reproduce", "run a published table or figure, print ours beside theirs"),
    "report": ("bitgate.cli.report", "runs as one HTML file with plots"),
    "data": ("bitgate.cli.data", "list, fetch and describe data sets"),
}


def usage() -> str:
    """The overview that ``bitgate --help`` prints."""
    lines = [f"  {name:<11}{text}" for name, (_, text) in VERBS.items()]
    return "\n".join(
        [
            "usage: bitgate VERB [options]      bitgate VERB --help tells more",
            "",
            "LSTMs with 1- and 2-bit weights: train them, freeze them to integers, run the same integers in C.",
            "",
            "verbs:",
            *lines,
            "",
            "a first session:",
            "  bitgate demo",
            "  bitgate fit --data digits --weights ternary --epochs 30 --name first",
            "  bitgate freeze runs/first -o first.bitgate",
            "  bitgate export c first.bitgate -o first-c",
        ]
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one verb; the entry point of the ``bitgate`` command.

    Exits with 0, with 2 after one clear line about a wrong argument, file or model, or with 130 when interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        sys.exit(0 if arguments else 2)
    if arguments[0] == "--version":
        print(f"bitgate {__version__}")
        return
    name, *rest = arguments
    if name not in VERBS:
        fail(f"no verb {name!r}{close_matches(name, list(VERBS))} (verbs: {', '.join(VERBS)})")
    verb: Verb = import_module(VERBS[name][0]).VERB
    try:
        parsed = make_parser(verb).parse_args(verb.prepare(normalize(rest)))
        result = verb.run(parsed, not parsed.json)
    except (
        BitgateError,
        FileNotFoundError,
        IsADirectoryError,
        NotADirectoryError,
        PermissionError,
        UnicodeDecodeError,
    ) as error:
        fail(" ".join(str(error).split()))
    except KeyboardInterrupt:
        print("bitgate: interrupted", file=sys.stderr)
        sys.exit(130)
    if parsed.json:
        json.dump(result, sys.stdout, indent=1, default=str)
        print()
