"""``bitgate export``: write a frozen model for a target."""

from pathlib import Path
from typing import Any

from bitgate.cli.parser import Arguments, Parser, Verb
from bitgate.export import c99
from bitgate.frozen import load
from bitgate.report import print_table


def add_arguments(parser: Parser) -> None:
    """Format, model, folder."""
    parser.add_argument("format", choices=["c"], help="c: C99 sources without dependencies")
    parser.add_argument("model", help="model file written by `bitgate freeze`")
    parser.add_argument("-o", "--output", required=True, help="folder to write")
    parser.add_argument("--name", default="model", help="prefix of the C names, such as gesture for gesture_step")


def run(arguments: Arguments, show: bool) -> dict[str, Any]:
    """Exports and lists the files."""
    files = c99(load(arguments.model), arguments.output, name=arguments.name)
    if show:
        rows = [(path.name, path.stat().st_size) for path in files]
        print_table(f"{arguments.output}", ("file", "bytes"), rows, caption="README.md there tells how to build")
        print(f"next: make -C {arguments.output}")
    return {"directory": arguments.output, "files": [str(Path(path)) for path in files]}


VERB = Verb(
    "export",
    "Write a frozen model as C: constants, the kernels it needs, an example program, a README.",
    """
bitgate export c model.bitgate -o model-c
bitgate export c model.bitgate -o gesture --name gesture
""",
    add_arguments,
    run,
)
