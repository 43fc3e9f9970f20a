"""Builds exported programs with all warnings as errors and compares them with the interpreter."""

import functools
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bitgate import export
from bitgate.export.c_layouts import WARNINGS
from bitgate.frozen import FrozenModel
from tests.frozen.make import random_sequences

ALL_FLAGS = ["-std=c99", *WARNINGS, "-Werror"]
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]


@functools.cache
def can_sanitize(compiler: str, sanitizers: str, source: str = "int main(void) { return 0; }") -> bool:
    """Whether a compiler is here with the libraries of its sanitizers, which come in packages of their own."""
    if shutil.which(compiler) is None:
        return False
    command = [compiler, f"-fsanitize={sanitizers}", "-x", "c", "-o", os.devnull, "-"]
    return subprocess.run(command, input=source, text=True, capture_output=True, check=False).returncode == 0


def export_and_build(
    model: FrozenModel, folder: Path, compiler: str | None = None, *, flags: Sequence[str] = ("-O1",)
) -> Path:
    export.c99(model, folder)
    return export.compile_host(folder, compiler, flags=[*ALL_FLAGS, *flags])


def assert_program_equals(
    model: FrozenModel, binary: Path, rng: np.random.Generator, lengths: Sequence[int] = (1, 13, 6)
) -> None:
    """Feeds sequences one after the other, so that a state that is not reset shows as well."""
    x = random_sequences(rng, model, len(lengths), max(lengths))
    expected = model.trace(x, np.array(lengths))
    sequences = [x[b, :length] for b, length in enumerate(lengths)]
    traces = export.trace_program(binary, sequences)
    assert len(traces) == len(lengths)
    for b, (length, trace) in enumerate(zip(lengths, traces, strict=True)):
        assert len(trace.h) == len(expected.h)
        for k in range(len(expected.h)):
            np.testing.assert_array_equal(trace.h[k], expected.h[k][b, :length])
            np.testing.assert_array_equal(trace.c[k], expected.c[k][b, :length])
        output = expected.h[-1][b, length - 1] if expected.logits is None else expected.logits[b]
        np.testing.assert_array_equal(trace.output, output)
    if expected.logits is not None:
        classes, logits = export.run_program(binary, sequences)
        np.testing.assert_array_equal(logits, expected.logits)
        np.testing.assert_array_equal(classes, expected.logits.argmax(axis=1))
