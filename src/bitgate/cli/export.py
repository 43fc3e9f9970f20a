"""``bitgate export``: write a frozen model for a target."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bitgate.cli.parser import Arguments, Parser, Verb
from bitgate.errors import ArgumentError, ToolError
from bitgate.export import c99, find_compiler, onnx, wasm
from bitgate.export.c_fast import KERNELS, Kernels
from bitgate.export.onnx_file import FORMS
from bitgate.export.sizes import Sizes, measure_sizes
from bitgate.export.targets import TARGETS
from bitgate.frozen import FrozenModel, load
from bitgate.report import print_table


def add_arguments(parser: Parser) -> None:
    """Format, model, folder."""
    formats = "c: C99 sources without dependencies; onnx: NAME.onnx; wasm: WebAssembly for browsers and Node"
    parser.add_argument("format", choices=["c", "onnx", "wasm"], help=formats)
    parser.add_argument("model", help="model file written by `bitgate freeze`")
    parser.add_argument("-o", "--output", required=True, help="folder to write")
    parser.add_argument("--name", default="model", help="prefix of the C names, such as gesture for gesture_step")
    parser.add_argument(
        "--kernels", choices=[*KERNELS], help="how rows of weights are summed (c: plain; wasm: the fastest that fits)"
    )
    parser.add_argument("--target", choices=[*TARGETS], help="c: processor to tell sizes for as well, by bitgate[mcu]")
    parser.add_argument(
        "--optimize", default="Os", choices=["O1", "O2", "O3", "Os"], help="c: option of the compiler for the sizes"
    )
    parser.add_argument("--form", default="integer", choices=[*FORMS], help="onnx: same integers, or float32")


def run(arguments: Arguments, show: bool) -> dict[str, Any]:
    """Exports, lists the files and tells what the program occupies."""
    if arguments.format == "wasm":
        return _run_wasm(arguments, show)
    if arguments.format == "onnx":
        return _run_onnx(arguments, show)
    frozen = load(arguments.model)
    kernels: Kernels = arguments.kernels or "plain"
    # Before anything is written: a missing tool must not leave half of what was asked for.
    sizes = [_target_sizes(frozen, arguments, kernels)] if arguments.target not in (None, "host") else []
    files = c99(frozen, arguments.output, name=arguments.name, kernels=kernels)
    sizes = [*_host_sizes(frozen, arguments, kernels), *sizes]
    if show:
        _show_files(arguments.output, files)
        _show_sizes(sizes)
        print(f"next: make -C {arguments.output}")
    return {
        "directory": arguments.output,
        "files": [str(path) for path in files],
        "kernels": kernels,
        "sizes": [entry.as_dict() for entry in sizes],
    }


def _run_wasm(arguments: Arguments, show: bool) -> dict[str, Any]:
    if arguments.target is not None:
        raise ArgumentError(f"target: {arguments.target!r}, but sizes are told with the format c only; leave it out")
    if arguments.name != "model":
        raise ArgumentError(f"name: {arguments.name!r}, but only C needs a prefix of its names; leave it out")
    files = wasm(load(arguments.model), arguments.output, kernels=arguments.kernels)
    if show:
        _show_files(arguments.output, files)
    return {"directory": arguments.output, "files": [str(path) for path in files]}


def _target_sizes(frozen: FrozenModel, arguments: Arguments, kernels: Kernels) -> Sizes:
    return measure_sizes(frozen, arguments.target, kernels=kernels, optimize=arguments.optimize)


def _host_sizes(frozen: FrozenModel, arguments: Arguments, kernels: Kernels) -> list[Sizes]:
    """Sizes under this machine's compiler; none, with a line that says so, where there is no compiler."""
    try:
        find_compiler()
        return [measure_sizes(frozen, "host", kernels=kernels, optimize=arguments.optimize)]
    except ToolError as error:
        print(f"bitgate: no sizes for this machine: {error}", file=sys.stderr)
        return []


def _show_files(output: str, files: Sequence[Path]) -> None:
    rows = [(path.relative_to(output).as_posix(), path.stat().st_size) for path in files]
    print_table(output, ("file", "bytes"), rows, caption="README.md there tells how to build and use it")


def _show_sizes(sizes: Sequence[Sizes]) -> None:
    if not sizes:
        return
    keys = {
        "flash: code": "code_bytes",
        "flash: weights": "weight_bytes",
        "flash: tables and other constants": "table_bytes",
        "flash in all": "flash_bytes",
        "RAM: state of each stream": "state_bytes",
        "RAM: working memory": "scratch_bytes",
        "stack": "stack_bytes",
    }
    rows = []
    for label, key in keys.items():
        values = [getattr(entry, key) for entry in sizes]
        # What nothing measured is still bounded: bg_model.h promises it, and tests hold it.
        rows.append((label, *("< 512" if value is None else value for value in values)))
    compilers = "\n".join(f"{entry.target}: {entry.compiler}" for entry in sizes)
    print_table(f"bytes, {sizes[0].kernels} kernels", ("", *(entry.target for entry in sizes)), rows, caption=compilers)


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
    "Write a frozen model as C (constants, kernels, build files for Make, CMake, Zephyr and Arduino) and tell its "
    "flash, RAM and stack; as ONNX; or as WebAssembly with a JavaScript class.",
    """
bitgate export c model.bitgate -o model-c
bitgate export c model.bitgate -o gesture --name gesture --kernels table --target cortex-m0
bitgate export onnx model.bitgate -o model-onnx
bitgate export wasm model.bitgate -o model-wasm
""",
    add_arguments,
    run,
)
