"""``bitgate verify``: compile a frozen model for a processor, run it there, compare every integer."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitgate.cli.parser import Arguments, Parser, Verb
from bitgate.data import check_input_size, load_dataset, read_sequences
from bitgate.errors import ArgumentError
from bitgate.export.c_fast import KERNELS
from bitgate.export.targets import TARGETS
from bitgate.export.verify import Verification, verify
from bitgate.frozen import FrozenModel, load
from bitgate.report import print_table


def add_arguments(parser: Parser) -> None:
    """Model, target and data."""
    parser.add_argument("model", help="model file written by `bitgate freeze`")
    parser.add_argument("--target", default="host", choices=[*TARGETS], help="processor to compile for and emulate")
    parser.add_argument("--data", help="data set or file of sequences; the model's own data set where not given")
    parser.add_argument("--sequences", type=int, default=20, help="how many, from the start of the test part or file")
    parser.add_argument("--data_dir", help="folder with packed data sets")
    parser.add_argument("--kernels", default="plain", choices=[*KERNELS], help="how rows of weights are summed")
    parser.add_argument("--optimize", default="Os", choices=["O1", "O2", "O3", "Os"], help="option of the C compiler")
    parser.add_argument(
        "--define", action="append", help="macro for the compiler, such as BG_ASSEMBLY=0; may be repeated"
    )
    parser.add_argument("-o", "--output", help="folder to keep the export and the built image in")


def run(arguments: Arguments, show: bool) -> dict[str, Any]:
    """Verifies and tells; exits with 1 after the first difference."""
    frozen = load(arguments.model)
    sequences, source = _sequences(frozen, arguments)
    result = verify(
        frozen,
        sequences,
        arguments.target,
        kernels=arguments.kernels,
        optimize=arguments.optimize,
        defines=arguments.define or (),
        directory=arguments.output or None,
    )
    told = {"model": arguments.model, "data": source, **result.as_dict()}
    if show:
        print_table(
            f"{arguments.model} on {arguments.target}, {result.kernels} kernels", ("", "value"), _rows(result, source)
        )
    if not result.is_equal:
        if not show:
            json.dump(told, sys.stdout, indent=1, default=str)
            print()
        print(f"bitgate: {arguments.target} differs: {result.difference}", file=sys.stderr)
        sys.exit(1)
    return told


def _sequences(frozen: FrozenModel, arguments: Arguments) -> tuple[list[NDArray[np.float32]], str]:
    """The first sequences of the data, and its name."""
    source = arguments.data or frozen.metadata.get("data")
    if not source:
        raise ArgumentError("data: the model does not tell its data set; give --data NAME or --data FILE")
    if arguments.sequences < 1:
        raise ArgumentError(f"sequences: {arguments.sequences}, at least one is needed")
    if arguments.data and Path(source).is_file():
        found, _, _ = read_sequences(source)
    else:
        found = load_dataset(source, data_dir=arguments.data_dir).test
    check_input_size(found, frozen.input_size, source)
    return [found[i] for i in range(min(arguments.sequences, len(found)))], source


def _rows(result: Verification, source: str) -> list[tuple[str, object]]:
    equal = f"all {result.n_values} equal" if result.is_equal else "DIFFERENT"
    rows: list[tuple[str, object]] = [
        ("states and outputs against the interpreter", equal),
        (f"sequences of {source}, steps", f"{result.n_sequences}, {result.n_steps}"),
    ]
    if result.step_count_mean is not None:
        spread = f"{result.step_count_mean:.0f} ({result.step_count_min} to {result.step_count_max})"
        rows.append((f"{result.count_unit} per step", spread))
    if result.readout_count is not None:
        rows.append((f"{result.count_unit} for the logits", f"{result.readout_count:.0f}"))
    rows += [
        ("bytes of flash: code", result.code_bytes),
        ("bytes of flash: constants", result.constant_bytes),
        ("bytes of RAM: state and working memory", result.ram_bytes),
    ]
    if result.stack_bytes is not None:
        rows.append(("bytes of stack", result.stack_bytes))
    return [*rows, ("compiler", result.compiler), ("emulator", result.emulator)]


VERB = Verb(
    "verify",
    "Compile a frozen model for a processor, run it in an emulator, and compare every state of every step and every "
    "logit with the interpreter. Exit code 0: all equal; 1: a difference, which is named; 2: it could not be tried.",
    """
bitgate verify model.bitgate
bitgate verify model.bitgate --target cortex-m4 --sequences 200
bitgate verify model.bitgate --target rv32 --data new.csv --json
""",
    add_arguments,
    run,
)
