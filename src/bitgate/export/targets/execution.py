"""Running an image: every state of every step, and what it took."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitgate.export.build import ProgramTrace, trace_program
from bitgate.export.targets.image import Image
from bitgate.export.targets.machine import Driver
from bitgate.export.targets.module import Module
from bitgate.export.targets.processor import Processor
from bitgate.export.targets.toolchain import tool_version
from bitgate.frozen import FrozenModel


@dataclass(frozen=True)
class Execution:
    """What an image computed, and the exact counts where its emulator gives them."""

    emulator: str
    traces: tuple[ProgramTrace, ...]  # by sequence
    step_counts: NDArray[np.int64]  # (all steps,); empty where there are no counts
    readout_counts: NDArray[np.int64]  # (sequences,); all logits together
    stack_bytes: int | None


def execute(image: Image, frozen: FrozenModel, codes: Sequence[NDArray[np.int16]]) -> Execution:
    """Runs sequences of input codes, each ``(T, I)``, from the zero state.

    Raises:
        ToolError: the emulator is missing, or the program fails in it.
    """
    if image.target.emulator == "native":
        traces = trace_program(image.path, codes, codes=True)
        none = np.zeros(0, dtype=np.int64)
        return Execution("native process", tuple(traces), none, none, None)
    package = image.target.emulator
    machine = Module(image.path) if package == "wasmtime" else Processor(image.target, image.path)
    driver = Driver(machine, frozen, image.name, image.kernels)
    results = [driver.run(sequence) for sequence in codes]
    return Execution(
        emulator=tool_version(package),
        traces=tuple(trace for trace, _, _ in results),
        step_counts=np.array([count for _, counts, _ in results for count in counts], dtype=np.int64),
        readout_counts=np.array([count for _, _, count in results], dtype=np.int64),
        stack_bytes=machine.stack_bytes,
    )
