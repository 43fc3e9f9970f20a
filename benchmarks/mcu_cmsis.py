"""Flash and instructions of CMSIS-NN's LSTM on a Cortex-M4, from a checkout of it (docs/targets.md).

git clone https://github.com/ARM-software/CMSIS-NN
python benchmarks/mcu_cmsis.py --cmsis-nn CMSIS-NN
python benchmarks/mcu_cmsis.py --table    # the tables of docs/targets.md, from what was measured last

arm_lstm_unidirectional_s8 with random weights, batch 1, in an image without what it does not call. Every image is run:
its states are compared with an LSTM in float64 before anything is told about it.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from cmsis_nn.count import GCC, GCC_FLAGS, TARGET, Count, check_folder, compiler_version, count
from cmsis_nn.layer import random_codes, random_layer
from cmsis_nn.table import markdown
from mcu import OUT as OURS
from mcu import SHAPES

from bitgate.errors import BitgateError
from bitgate.export.targets import find_target

OPTIMIZE = ("Os", "O2", "Ofast")  # -Ofast is the default of CMSIS-NN's CMakeLists.txt
# CMSIS-NN's options for requantization: by default integers as TensorFlow Lite's in C; the same integers in assembly;
# rounded once, which is another integer now and then.
DEFINES: tuple[tuple[str, ...], ...] = (
    (),
    ("CMSIS_NN_USE_REQUANTIZE_INLINE_ASSEMBLY",),
    ("CMSIS_NN_USE_SINGLE_ROUNDING",),
)
OUT = Path(__file__).parent / "results" / "mcu_cmsis.json"


@dataclass(frozen=True)
class Row:
    """One image."""

    compiler: str
    optimize: str
    defines: tuple[str, ...]
    input_size: int
    hidden_size: int
    instructions: float
    call_instructions: float | None
    code_bytes: int
    constant_bytes: int
    stack_bytes: int


def measure(cmsis: Path, compilers: list[str], steps: int) -> Iterator[Row]:
    for compiler, defines, optimize, (input_size, hidden_size) in product(compilers, DEFINES, OPTIMIZE, SHAPES):
        layer, codes = random_layer(input_size, hidden_size), random_codes(steps + 1, input_size)
        options = [f"-{optimize}", *(f"-D{define}" for define in defines)]
        found: Count = count(cmsis, layer, codes, compiler, options)
        yield Row(compiler, optimize, defines, input_size, hidden_size, **asdict(found))


def revision(cmsis: Path) -> str:
    """The commit of a checkout, with a mark if files were changed."""
    command = ["git", "-C", str(cmsis), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if (cmsis / ".git").exists() and done.returncode == 0 else "unknown: no git checkout"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cmsis-nn", type=Path, metavar="FOLDER", help="a checkout of CMSIS-NN, of 2024 or later")
    parser.add_argument("--revision", help="what FOLDER holds, where git cannot tell")
    parser.add_argument("--compilers", nargs="+", choices=("zig", "gcc"), help=f"default: zig, and {GCC} if installed")
    parser.add_argument("--steps", type=int, default=20, help="steps that the mean is taken over")
    parser.add_argument("--out", type=Path, default=OUT, help="JSON file to write")
    parser.add_argument("--table", action="store_true", help="measure nothing, print Markdown from the JSON files")
    arguments = parser.parse_args()
    if arguments.table:
        print(markdown(json.loads(arguments.out.read_text())["rows"], json.loads(OURS.read_text())["rows"]))
        return
    if arguments.cmsis_nn is None:
        parser.error("--cmsis-nn FOLDER is required: bitgate does not contain CMSIS-NN")
    compilers = arguments.compilers or ["zig", *(["gcc"] if shutil.which(GCC) else [])]
    rows = []
    try:
        check_folder(arguments.cmsis_nn)
        for row in measure(arguments.cmsis_nn, compilers, arguments.steps):
            rows.append(row)
            print(row)
    except BitgateError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    flags = {"zig": find_target(TARGET).flags, "gcc": GCC_FLAGS}
    told = {
        "revision": arguments.revision or revision(arguments.cmsis_nn),
        "steps": arguments.steps,
        "compilers": {name: f"{compiler_version(name)} -std=c99 {' '.join(flags[name])}" for name in compilers},
        "rows": [asdict(row) for row in rows],
    }
    arguments.out.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
