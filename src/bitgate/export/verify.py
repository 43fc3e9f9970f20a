"""Proof by comparison: an exported program, compiled for a target and executed, computes the interpreter's integers."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bitgate.errors import ArgumentError
from bitgate.export.c_fast import Kernels
from bitgate.export.c_header import state_sizes
from bitgate.export.c_package import export_c99
from bitgate.export.difference import Difference, find_difference, reference
from bitgate.export.targets import Execution, Image, build_image, execute, find_target
from bitgate.frozen import FrozenModel


@dataclass(frozen=True)
class Verification:
    """Result of ``verify``; bytes and counts belong to the compiler and options that ``compiler`` names."""

    target: str
    kernels: Kernels
    compiler: str
    emulator: str
    n_sequences: int
    n_steps: int
    n_values: int  # integers compared
    difference: Difference | None
    count_unit: str  # of the counts below; empty where the target has none
    step_count_mean: float | None
    step_count_min: int | None
    step_count_max: int | None
    readout_count: float | None  # all logits once
    code_bytes: int  # flash
    constant_bytes: int  # flash
    ram_bytes: int  # state, working memory and variables; without the caller's input buffer
    stack_bytes: int | None

    @property
    def is_equal(self) -> bool:
        """Whether every compared integer was the interpreter's."""
        return self.difference is None

    @property
    def flash_bytes(self) -> int:
        """Code and constants."""
        return self.code_bytes + self.constant_bytes

    def as_dict(self) -> dict[str, Any]:
        """Plain dictionary, for JSON."""
        return {**asdict(self), "is_equal": self.is_equal, "flash_bytes": self.flash_bytes}


def verify(
    frozen: FrozenModel,
    sequences: Sequence[ArrayLike],
    target: str = "host",
    *,
    kernels: Kernels = "plain",
    optimize: str = "Os",
    defines: Sequence[str] = (),
    directory: str | Path | None = None,
) -> Verification:
    """Exports, compiles and executes ``frozen`` for ``target`` and compares all it computes with the interpreter.

    Every state of every step and every output are compared with ``==``. On all targets the input codes come from the
    interpreter's ``quantize``.

    Args:
        frozen: the model.
        sequences: raw features, each ``(T, I)``.
        target: a name of ``targets.TARGETS``.
        kernels: as for ``c99``.
        optimize: optimization of the C compiler, such as ``O2`` or ``Os``.
        defines: macros for the C compiler, such as ``BG_ASSEMBLY=0`` (docs/targets.md).
        directory: folder to export and build in, kept; a temporary one where None.

    Raises:
        ArgumentError: no such target, no sequences, or ``directory`` is a file.
        ShapeError: sequences that do not fit the model.
        ToolError: compiler or emulator are missing or fail.
        UnsupportedError: the model cannot be exported to C, or not with these kernels.
    """
    chosen = find_target(target)
    if len(sequences) == 0:
        raise ArgumentError("sequences: none given, at least one is needed")
    arrays = [np.asarray(sequence, dtype=np.float32) for sequence in sequences]
    codes = [frozen.quantize(array) for array in arrays]
    with tempfile.TemporaryDirectory(prefix="bitgate-verify-") as temporary:
        folder = Path(directory or temporary)
        export_c99(frozen, folder, kernels=kernels)
        image = build_image(frozen, folder, chosen, kernels=kernels, optimize=optimize, defines=defines)
        execution = execute(image, frozen, codes)
    return summarize(frozen, image, execution, find_difference(reference(frozen, arrays), execution.traces))


def summarize(frozen: FrozenModel, image: Image, execution: Execution, difference: Difference | None) -> Verification:
    """The result for people and JSON."""
    counts, readout = execution.step_counts, execution.readout_counts
    traces = execution.traces
    return Verification(
        target=image.target.name,
        kernels=image.kernels,
        compiler=image.compiler,
        emulator=execution.emulator,
        n_sequences=len(traces),
        n_steps=sum(len(trace.h[0]) if trace.h else 1 for trace in traces),
        n_values=sum(array.size for trace in traces for array in (*trace.h, *trace.c, trace.output)),
        difference=difference,
        count_unit=image.target.unit if counts.size else "",
        step_count_mean=float(counts.mean()) if counts.size else None,
        step_count_min=int(counts.min()) if counts.size else None,
        step_count_max=int(counts.max()) if counts.size else None,
        readout_count=float(readout.mean()) if counts.size and frozen.readout is not None else None,
        code_bytes=image.code_bytes,
        constant_bytes=image.constant_bytes,
        ram_bytes=2 * sum(state_sizes(frozen, image.kernels)) + image.data_bytes,
        stack_bytes=execution.stack_bytes,
    )
