"""Building: an exported folder becomes the linked image of a target."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bitgate.export import elf, wasm_sections
from bitgate.export.build import (
    code_bytes,
    compile_host,
    compile_objects,
    compiler_version,
    find_compiler,
    model_sources,
)
from bitgate.export.c_fast import Kernels
from bitgate.export.targets import freestanding
from bitgate.export.targets.target import Target
from bitgate.export.targets.toolchain import call_zig, zig_version
from bitgate.frozen import FrozenModel

ROOTS = ("bg_model_step", "bg_model_reset")
"""Functions that the driver calls; with a readout also ``READOUT_ROOT``."""

READOUT_ROOT = "bg_readout_logit"


@dataclass(frozen=True)
class Image:
    """A linked program, and what it occupies before any state exists."""

    target: Target
    path: Path
    name: str  # prefix of the model's symbols
    kernels: Kernels  # as given to ``c99``
    compiler: str  # name, version and options
    code_bytes: int
    constant_bytes: int
    data_bytes: int  # RAM of variables: none, by design


def build_image(
    frozen: FrozenModel,
    folder: Path,
    target: Target,
    *,
    name: str = "model",
    kernels: Kernels = "plain",
    optimize: str = "Os",
    defines: Sequence[str] = (),
) -> Image:
    """Compiles and links the export in ``folder``; bg_quantize and the example are part of the host's image only.

    Args:
        frozen: the model that was exported.
        folder: where ``c99`` wrote it; the image comes to lie in its folder ``build``.
        target: what to build for.
        name: prefix given to ``c99``.
        kernels: those given to ``c99``.
        optimize: optimization of the compiler, such as ``Os``.
        defines: macros for the compiler, such as ``BG_ASSEMBLY=0``.

    Raises:
        ToolError: a compiler is missing or fails.
    """
    macros = [f"-D{define}" for define in defines]
    output = folder / "build"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    if target.emulator == "native":
        return _native(folder, output, target, name, kernels, [f"-{optimize}", *macros])
    freestanding.write_support(output)
    sources = [str(path.resolve()) for path in model_sources(folder) if not _optional(path)]
    options = ["-std=c99", f"-{optimize}", *macros, *target.flags]
    roots = [*ROOTS, *([READOUT_ROOT] if frozen.readout is not None else []), f"{name}_params"]
    image = output / ("image.wasm" if target.emulator == "wasmtime" else "image.elf")
    link = freestanding.wasm_options(roots) if target.emulator == "wasmtime" else freestanding.elf_options(roots)
    call_zig([*options, "-Wno-unused-command-line-argument", *link, "-o", image.name, *sources], output)
    compiler = f"{zig_version()} {' '.join(options)}"
    sizes = wasm_sections.section_bytes(image) if target.emulator == "wasmtime" else elf.section_bytes(image)
    variables = sizes["data"] + sizes["bss"]
    return Image(target, image, name, kernels, compiler, sizes["text"], sizes["rodata"], variables)


def _optional(path: Path) -> bool:
    return path.name == "bg_input.c" or path.name.endswith("_names.c")


def _native(folder: Path, output: Path, target: Target, name: str, kernels: Kernels, flags: Sequence[str]) -> Image:
    compiler = find_compiler()
    binary = compile_host(folder, compiler, flags=flags)
    moved = binary.replace(output / binary.name)
    sizes = code_bytes(compile_objects(folder, output, compiler, flags=flags))
    told = f"{compiler_version(compiler)} -std=c99 {' '.join(flags)}"
    return Image(target, moved, name, kernels, told, sizes.text, sizes.rodata, sizes.data + sizes.bss)
