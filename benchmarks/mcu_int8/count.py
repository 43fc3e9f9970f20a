"""Counts the instructions of lstm_int8.c, compiled and emulated as the kernels are, and proves its integers."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitgate.errors import ToolError
from bitgate.export.c_kernels import source_folder
from bitgate.export.targets import find_target, freestanding
from bitgate.export.targets.processor import Processor
from bitgate.export.targets.toolchain import call_zig
from bitgate.frozen import FrozenModel

HERE = Path(__file__).parent
STEP, PARAMS = "lstm_int8_step", "net"
SOURCES = (
    "lstm_int8.c",
    "lstm_int8.h",
    "bg_activation.c",
    "bg_activation.h",
    "bg_options.h",
    "bg_smooth.h",
    "bg_shift.h",
    "bg_types.h",
)


def _array(c_type: str, name: str, values: NDArray[np.generic]) -> str:
    return f"static const {c_type} {name}[] = {{{', '.join(map(str, values.reshape(-1).tolist()))}}};\n"


def _constants(model: FrozenModel) -> str:
    (layer,) = model.flat_layers
    return (
        '#include "lstm_int8.h"\n'
        + _array("int8_t", "w_ih", layer.w_ih.values)
        + _array("int8_t", "w_hh", layer.w_hh.values)
        + "".join(_array("int32_t", name, getattr(layer, name)) for name in ("mult_ih", "mult_hh", "bias"))
        + _array("uint8_t", "shift", layer.shift)
        + f"extern const lstm_int8 {PARAMS};\nconst lstm_int8 {PARAMS} = {{w_ih, w_hh, mult_ih, mult_hh, bias, shift, "
        f"{layer.input_size}, {layer.hidden_size}, {len(layer.gates)}}};\n"
    )


def _build(model: FrozenModel, folder: Path, target: str) -> Processor:
    for name in SOURCES:
        here = HERE / name
        (folder / name).write_text((here if here.exists() else source_folder() / name).read_text())
    (folder / "net.c").write_text(_constants(model))
    freestanding.write_support(folder)
    chosen = find_target(target)
    flags = ["-std=c99", "-O2", *chosen.flags, "-Wno-unused-command-line-argument"]
    link = freestanding.elf_options([STEP, PARAMS])
    call_zig([*flags, *link, "-o", "image.elf", "net.c", "lstm_int8.c", "bg_activation.c"], folder)
    return Processor(chosen, folder / "image.elf")


def count_int8(model: FrozenModel, x: NDArray[np.float32], target: str) -> float:
    """Mean instructions of a step over one sequence ``(T, I)`` of a layer with 8-bit weights and states.

    Raises:
        ToolError: a state differs from the interpreter's, or a tool fails.
    """
    expected = model.trace(x[None])
    units, counts = model.flat_layers[0].hidden_size, []
    folder = Path(tempfile.mkdtemp(prefix="bitgate-int8-"))
    try:
        machine = _build(model, folder, target)
    finally:
        shutil.rmtree(folder)
    at = (machine.free_memory + 7) & ~7
    h, c, codes = at, at + 4 * units, at + 8 * units
    machine.write(at, bytes(8 * units))
    for t, step in enumerate(model.quantize(x)):
        machine.write(codes, step.astype(np.int8).tobytes())
        counts.append(machine.call(STEP, machine.address(PARAMS), codes, h, c)[1])
        found = np.frombuffer(machine.read(h, units), dtype=np.int8)
        cells = np.frombuffer(machine.read(c, 2 * units), dtype="<i2")
        if (found != expected.h[0][0, t]).any() or (cells != expected.c[0][0, t]).any():
            raise ToolError(f"lstm_int8.c on {target}: step {t} differs from the interpreter")
    return float(np.mean(counts))
