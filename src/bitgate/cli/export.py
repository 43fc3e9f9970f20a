"""``bitgate export``: write a frozen model for a target."""

from pathlib import Path
from typing import Any

from bitgate.cli.parser import Arguments, Parser, Verb
from bitgate.export import c99, onnx
from bitgate.export.onnx_file import FORMS
from bitgate.frozen import load
from bitgate.report import print_table


def add_arguments(parser: Parser) -> None:
    """Format, model, folder."""
    parser.add_argument("format", choices=["c", "onnx"], help="c: C99 sources; onnx: NAME.onnx")
    parser.add_argument("model", help="model file written by `bitgate freeze`")
    parser.add_argument("-o", "--output", required=True, help="folder to write")
    parser.add_argument("--name", default="model", help="prefix of the C names, such as gesture for gesture_step")
    parser.add_argument("--form", default="integer", choices=[*FORMS], help="onnx: same integers, or float32")


def run(arguments: Arguments, show: bool) -> dict[str, Any]:
    """Exports and lists the files."""
    if arguments.format == "onnx":
        return _run_onnx(arguments, show)
    files = c99(load(arguments.model), arguments.output, name=arguments.name)
    if show:
        rows = [(path.name, path.stat().st_size) for path in files]
        print_table(f"{arguments.output}", ("file", "bytes"), rows, caption="README.md there tells how to build")
        print(f"next: make -C {arguments.output}")
    return {"directory": arguments.output, "files": [str(Path(path)) for path in files]}


def _run_onnx(arguments: Arguments, show: bool) -> dict[str, Any]:
    """Exports one file, which is compared with the model on the way."""
    path = onnx(load(arguments.model), Path(arguments.output) / f"{arguments.name}.onnx", form=arguments.form)
    if show:
        rows = [(path.name, path.stat().st_size)]
        caption = f"{arguments.form} form, compared with the model in onnxruntime and the reference evaluator"
        print_table(f"{arguments.output}", ("file", "bytes"), rows, caption=caption)
    return {"directory": arguments.output, "files": [str(path)]}


VERB = Verb(
    "export",
    "Write a frozen model as C (constants, the kernels it needs, an example program, a README) or as ONNX.",
    """
bitgate export c model.bitgate -o model-c
bitgate export c model.bitgate -o gesture --name gesture
bitgate export onnx model.bitgate -o model-onnx
""",
    add_arguments,
    run,
)
