"""Compiling an exported program to a WebAssembly module, by Zig's compiler or an installed clang."""

import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bitgate.errors import ToolError
from bitgate.export.build import model_sources
from bitgate.export.c_fast import Kernels
from bitgate.export.c_header import state_sizes
from bitgate.export.targets import freestanding
from bitgate.export.targets.toolchain import call_zig, zig_version
from bitgate.export.wasm_sections import custom_section
from bitgate.frozen import FrozenModel

_ROOTS = ("bg_model_step", "bg_model_reset", "bg_quantize", "model_params", "model_input_mean", "model_input_gain")
_STACK_BYTES = 4096  # the kernels need under 512

# Of MVP and SIMD: what runs everywhere, and what every browser since 2023 has.
_ZIG = {False: ("-mcpu=mvp",), True: ("-mcpu=mvp+simd128",)}
_CLANG = {False: ("-mcpu=mvp", "-mbulk-memory"), True: ("-mcpu=mvp", "-mbulk-memory", "-msimd128")}


def build_module(frozen: FrozenModel, folder: Path, kernels: Kernels, *, simd: bool) -> tuple[bytes, str]:
    """Compiles the export in ``folder`` (named ``model``, with these kernels).

    Returns:
        The module, with a section ``bitgate`` that describes the model, and the compiler with its options.

    Raises:
        ToolError: there is no compiler, or it fails.
    """
    output = folder / "build"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    freestanding.write_support(output)
    sources = [str(path.resolve()) for path in model_sources(folder) if not path.name.endswith("_names.c")]
    roots = [*_ROOTS, *(["bg_readout_logit"] if frozen.readout is not None else [])]
    link = [*freestanding.wasm_options(roots), "-Wl,--strip-all"]
    link += [f"-Wl,-z,stack-size={_STACK_BYTES}", "-o", "model.wasm", *sources]
    compiler = _compile(["-std=c99", "-O2"], link, output, simd=simd)
    description = json.dumps(describe(frozen, kernels), ensure_ascii=False).encode()
    return (output / "model.wasm").read_bytes() + custom_section("bitgate", description), compiler


def describe(frozen: FrozenModel, kernels: Kernels) -> dict[str, Any]:
    """What bitgate.js needs to know of the model; sizes of state and scratch are numbers of int16."""
    state, scratch = state_sizes(frozen, kernels)
    return {
        "inputSize": frozen.input_size,
        "layers": [layer.hidden_size for layer in frozen.flat_layers],
        "outputAt": sum(layer.state_size for layer in frozen.flat_layers[:-1]),
        "classes": 0 if frozen.readout is None else frozen.output_size,
        "classNames": [] if frozen.readout is None else list(frozen.class_names),
        "outputScale": float(frozen.output_scale),
        "stateBits": frozen.state_bits,
        "stateSize": state,
        "scratchSize": scratch,
        "kernels": kernels,
    }


def _compile(options: list[str], link: list[str], folder: Path, *, simd: bool) -> str:
    if find_spec("ziglang") is not None:
        options = [*options, "-target", "wasm32-freestanding", *_ZIG[simd]]
        call_zig([*options, "-Wno-unused-command-line-argument", *link], folder)
        return f"{zig_version()} {' '.join(options)}"
    clang = shutil.which("clang")
    if clang is None or shutil.which("wasm-ld") is None:
        raise ToolError("no compiler for WebAssembly: pip install 'bitgate[mcu]', or install clang and lld")
    options = [*options, "--target=wasm32", "-ffreestanding", *_CLANG[simd]]
    done = subprocess.run(
        [clang, *options, "-nostdlib", *link], cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode != 0:
        raise ToolError(f"clang failed:\n{done.stderr.strip()}")
    version = subprocess.run([clang, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return f"{version} {' '.join(options)}"
