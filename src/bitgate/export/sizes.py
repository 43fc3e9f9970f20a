"""What an export occupies on a processor: flash by purpose, RAM, stack."""

import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bitgate.export.build import code_bytes, compile_objects, compiler_version, find_compiler
from bitgate.export.c_fast import Kernels
from bitgate.export.c_header import state_sizes
from bitgate.export.c_package import export_c99
from bitgate.export.targets import Image, build_image, execute, find_target
from bitgate.frozen import FrozenModel
from bitgate.frozen.bounds import code_limit

_ITEM_BYTES = {"uint8_t": 1, "uint16_t": 2, "uint32_t": 4}
_STACK_STEPS = 4


@dataclass(frozen=True)
class Sizes:
    """Bytes of an exported model under one compiler; without ``bg_quantize`` where a linker dropped it."""

    target: str
    kernels: Kernels
    compiler: str  # name, version and options
    code_bytes: int  # flash
    weight_bytes: int  # flash: packed weights
    table_bytes: int  # flash: all other constants: tables, multipliers, biases, descriptions of the layers
    state_bytes: int  # RAM of each stream
    scratch_bytes: int  # RAM, may be shared by streams
    stack_bytes: int | None  # the deepest that was seen in the emulator; None where nothing measures it

    @property
    def flash_bytes(self) -> int:
        """Code and constants."""
        return self.code_bytes + self.weight_bytes + self.table_bytes

    @property
    def ram_bytes(self) -> int:
        """State and working memory of one stream, without stack and the caller's input buffer."""
        return self.state_bytes + self.scratch_bytes

    def as_dict(self) -> dict[str, Any]:
        """Plain dictionary, for JSON."""
        return {**asdict(self), "flash_bytes": self.flash_bytes, "ram_bytes": self.ram_bytes}


def measure_sizes(
    frozen: FrozenModel, target: str = "host", *, kernels: Kernels = "plain", optimize: str = "Os"
) -> Sizes:
    """Exports and compiles ``frozen`` in a temporary folder and measures the result.

    Args:
        frozen: the model.
        target: a name of ``targets.TARGETS``. On "host" the objects before linking are measured.
        kernels: as for ``c99``.
        optimize: optimization of the C compiler, such as ``O2`` or ``Os``.

    Raises:
        ArgumentError: no such target.
        ToolError: compiler or emulator are missing or fail.
        UnsupportedError: the model cannot be exported to C, or not with these kernels.
    """
    chosen = find_target(target)
    with tempfile.TemporaryDirectory(prefix="bitgate-sizes-") as temporary:
        folder = Path(temporary)
        export_c99(frozen, folder, kernels=kernels)
        weights = weight_bytes((folder / "src" / "model.c").read_text(encoding="utf-8"))
        if chosen.emulator == "native":
            compiler, code, constants, variables = _host(folder, optimize)
            stack = None
        else:
            image = build_image(frozen, folder, chosen, kernels=kernels, optimize=optimize)
            compiler, code = image.compiler, image.code_bytes
            constants, variables = image.constant_bytes, image.data_bytes
            stack = _stack(image, frozen)
    state, scratch = state_sizes(frozen, kernels)
    return Sizes(
        target=target,
        kernels=kernels,
        compiler=compiler,
        code_bytes=code,
        weight_bytes=weights,
        table_bytes=constants - weights,
        state_bytes=2 * state,
        scratch_bytes=2 * scratch + variables,
        stack_bytes=stack,
    )


def _host(folder: Path, optimize: str) -> tuple[str, int, int, int]:
    """Compiler, and bytes of code, constants and variables before linking."""
    compiler = find_compiler()
    (folder / "objects").mkdir()
    sizes = code_bytes(compile_objects(folder, folder / "objects", compiler, flags=[f"-{optimize}"]))
    told = f"{compiler_version(compiler)} -std=c99 -{optimize}"
    return told, sizes.text, sizes.rodata, sizes.data + sizes.bss


def _stack(image: Image, frozen: FrozenModel) -> int | None:
    """The deepest stack of a few steps; the path through the kernels does not depend on the data."""
    limit = code_limit(frozen.state_bits)
    codes = np.random.default_rng(0).integers(-limit, limit + 1, (_STACK_STEPS, frozen.input_size))
    return execute(image, frozen, [codes.astype(np.int16)]).stack_bytes


def weight_bytes(source: str) -> int:
    """Bytes of all packed weights in the text of an exported ``<name>.c``: its arrays called ``..._codes``."""
    arrays = re.findall(r"^static const (\w+) \w+_codes\[(\d+)\]", source, re.MULTILINE)
    return sum(_ITEM_BYTES[c_type] * int(count) for c_type, count in arrays)
