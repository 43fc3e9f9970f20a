"""Builds an image of one layer with CMSIS-NN's functions, measures its flash, and counts instructions of a step."""

import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from cmsis_nn.layer import PARAMS, STATE_ZERO, Layer
from numpy.typing import NDArray

from bitgate.errors import DataError, ToolError
from bitgate.export import elf
from bitgate.export.targets import find_target, freestanding
from bitgate.export.targets.processor import Processor
from bitgate.export.targets.toolchain import TIMEOUT_S, call_zig, zig_version

STEP = "arm_lstm_unidirectional_s8"
TARGET = "cortex-m4"
GCC = "arm-none-eabi-gcc"
GCC_FLAGS = (
    "-mcpu=cortex-m4",
    "-mthumb",
    "-mfloat-abi=soft",
    "-nostartfiles",
    "-ffunction-sections",
    "-fdata-sections",
)
TYPES = "Include/arm_nn_types.h"
SOURCES = (
    "Source/LSTMFunctions/arm_lstm_unidirectional_s8.c",
    "Source/NNSupportFunctions/arm_nn_lstm_step_s8.c",
    "Source/NNSupportFunctions/arm_nn_lstm_calculate_gate_s8_s16.c",
    "Source/NNSupportFunctions/arm_nn_vec_mat_mul_result_acc_s8_s16.c",
    "Source/NNSupportFunctions/arm_nntables.c",
    "Source/ActivationFunctions/arm_nn_activation_s16.c",
    "Source/BasicMathFunctions/arm_elementwise_mul_s16.c",
    "Source/BasicMathFunctions/arm_elementwise_mul_acc_s16.c",
    "Source/BasicMathFunctions/arm_elementwise_mul_s16_s8.c",
)
# Zig has no hosted target for this core: without a hosted C library clang calls a function for the four-byte copies
# that CMSIS-NN reads its weights with. As built-ins they are one load, as in a hosted build.
STRING_H = """
#include <stddef.h>
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
#define memcpy __builtin_memcpy
#define memset __builtin_memset
"""
TIME_STEPS_AT = 8  # bytes before cmsis_nn_lstm_params.time_steps
# States against float64, in codes: what is rounded in one step feeds back into the next, so single units drift.
MEAN_ERROR, LARGEST_ERROR = 1.0, 16.0


@dataclass(frozen=True)
class Count:
    """One image: what it occupies, and what a step takes."""

    instructions: float  # of a step inside a sequence: mean of the steps after the first
    call_instructions: float | None  # of a call for one step that keeps its state; None where the interface cannot
    code_bytes: int
    constant_bytes: int
    stack_bytes: int


def check_folder(folder: Path) -> None:
    """Refuses what is no checkout.

    Raises:
        DataError: a file is missing.
    """
    for name in (TYPES, "Include/arm_nnfunctions.h", "Include/arm_nnsupportfunctions.h", *SOURCES):
        if not (folder / name).is_file():
            raise DataError(f"{folder}: {name} is missing; expected a checkout of CMSIS-NN of 2024 or later")


@cache
def compiler_version(compiler: str) -> str:
    """Name and version."""
    if compiler == "zig":
        return zig_version()
    return subprocess.run([GCC, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


def _call_gcc(arguments: list[str], folder: Path) -> None:
    done = subprocess.run([GCC, *arguments], cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise ToolError(f"{GCC} failed:\n{done.stderr.strip()}")


def _build(cmsis: Path, layer: Layer, steps: int, work: Path, compiler: str, options: list[str]) -> Path:
    freestanding.write_support(work)
    (work / "include" / "string.h").write_text(STRING_H)
    (work / "net.c").write_text(layer.c_source(steps))
    sources = ["net.c", *(str((cmsis / name).resolve()) for name in SOURCES)]
    options = ["-std=c99", *options, f"-I{(cmsis / 'Include').resolve()}", "-w"]
    link = freestanding.elf_options([STEP, PARAMS])
    if compiler == "zig":
        call_zig([*options, *find_target(TARGET).flags, *link, "-o", "image.elf", *sources], work)
    else:
        link.remove("-Iinclude")  # newlib has the header
        _call_gcc([*options, *GCC_FLAGS, *link, "-o", "image.elf", *sources], work)
    return work / "image.elf"


def count(cmsis: Path, layer: Layer, codes: NDArray[np.int8], compiler: str, options: list[str]) -> Count:
    """Builds, runs and measures a layer; ``codes`` is one sequence ``(T, I)`` of inputs.

    Raises:
        ToolError: a tool fails, or the states are not those of an LSTM.
    """
    work = Path(tempfile.mkdtemp(prefix="bitgate-cmsis-"))
    try:
        image = _build(cmsis, layer, len(codes), work, compiler, options)
        sizes = elf.section_bytes(image)
        run = _Run(Processor(find_target(TARGET), image), layer, codes)
    finally:
        shutil.rmtree(work)
    states, whole = run.sequence(len(codes))
    error = np.abs(states - np.clip(layer.states(codes), -128, 127))
    if error.mean() > MEAN_ERROR or error.max() > LARGEST_ERROR:
        raise ToolError(f"{STEP}: states differ from float64 by {error.mean():.2f} codes, at most {error.max():.1f}")
    first = run.sequence(1)[1]
    call = run.steps(states) if "hidden_state;" in (cmsis / TYPES).read_text() else None
    step = (whole - first) / (len(codes) - 1)
    return Count(step, call, sizes["text"], sizes["rodata"], run.machine.stack_bytes)


class _Run:
    """Buffers of a layer in the memory of a processor."""

    def __init__(self, machine: Processor, layer: Layer, codes: NDArray[np.int8]) -> None:
        self.machine, self._codes, self._units = machine, codes, layer.hidden_size
        # Context and parameters, then gates, gates, cells of 16 bits, states, inputs, outputs.
        self._context = (machine.free_memory + 7) & ~7
        self._params = self._context + 16
        self._buffers = [self._params + 512 + 2 * self._units * k for k in range(4)]
        self._inputs = self._buffers[3] + self._units
        self._outputs = self._inputs + (codes.size + 7 & ~7)
        constants = machine.read(machine.address(PARAMS), 512)
        if struct.unpack_from("<i", constants, TIME_STEPS_AT) != (len(codes),):
            raise ToolError("cmsis_nn_lstm_params: time_steps is not the third field")
        machine.write(self._params, constants)

    def _call(self, codes: NDArray[np.int8], hidden: int) -> tuple[NDArray[np.int8], int]:
        machine = self.machine
        machine.write(self._params + TIME_STEPS_AT, struct.pack("<i", len(codes)))
        machine.write(self._context, struct.pack("<4I", *self._buffers[:3], hidden))
        machine.write(self._inputs, codes.tobytes())
        status, instructions = machine.call(STEP, self._inputs, self._outputs, self._params, self._context)
        if status != 0:
            raise ToolError(f"{STEP} returned {status}")
        states = np.frombuffer(machine.read(self._outputs, len(codes) * self._units), dtype=np.int8)
        return states.reshape(len(codes), self._units), instructions

    def sequence(self, steps: int) -> tuple[NDArray[np.int8], int]:
        """States of the first ``steps`` steps from zero on, by one call, and its instructions."""
        return self._call(self._codes[:steps], 0)

    def steps(self, expected: NDArray[np.int8]) -> float:
        """Mean instructions of calls for one step each, which must give the states of the sequence."""
        hidden, counts = self._buffers[3], []
        self.machine.write(self._buffers[2], bytes(2 * self._units))
        self.machine.write(hidden, np.full(self._units, STATE_ZERO, np.int8).tobytes())
        for t in range(len(self._codes)):
            found, instructions = self._call(self._codes[t : t + 1], hidden)
            if (found[0] != expected[t]).any():
                raise ToolError(f"{STEP}: step {t} by itself differs from the sequence")
            counts.append(instructions)
        return float(np.mean(counts))
