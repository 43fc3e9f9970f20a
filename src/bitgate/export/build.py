"""Compiles an exported program on this machine, runs it and reads what it prints."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitgate.errors import ArgumentError, ToolError
from bitgate.export import elf

COMPILERS = ("cc", "gcc", "clang")
TIMEOUT_S = 300


@dataclass(frozen=True)
class CodeBytes:
    """Bytes of compiled objects as a linker sees them before it removes what is unused."""

    text: int
    rodata: int
    data: int
    bss: int

    @property
    def flash(self) -> int:
        """Bytes that stay in flash."""
        return self.text + self.rodata + self.data


@dataclass(frozen=True)
class ProgramTrace:
    """States that a program printed for one sequence: by layer, each ``(T, H)``; and its result line."""

    h: tuple[NDArray[np.int32], ...]
    c: tuple[NDArray[np.int32], ...]
    output: NDArray[np.int32]  # logits, or the last hidden state of a model without readout


def find_compiler(compiler: str | None = None) -> str:
    """Path of ``compiler``, or of the first C compiler of this machine.

    Raises:
        ToolError: there is none.
    """
    if compiler is not None:
        path = shutil.which(compiler)
        if path is None:
            raise ToolError(f"compiler {compiler!r} not found")
        return path
    for name in COMPILERS:
        path = shutil.which(name)
        if path is not None:
            return path
    raise ToolError("no C compiler found: install gcc or clang")


def compile_host(
    directory: str | os.PathLike[str], compiler: str | None = None, *, flags: Sequence[str] = ("-O2",)
) -> Path:
    """Builds the example program of an export for this machine; returns the path of the binary.

    Raises:
        ToolError: no compiler, or its message if it fails.
    """
    folder = Path(directory)
    binary = folder / "program"
    sources = [f"src/{path.name}" for path in model_sources(folder)]
    _call([find_compiler(compiler), "-std=c99", *flags, "-Isrc", "-o", binary.name, "main.c", *sources], folder)
    return binary


def compile_objects(
    directory: str | os.PathLike[str],
    output: str | os.PathLike[str],
    compiler: str | None = None,
    *,
    flags: Sequence[str] = ("-Os",),
) -> list[Path]:
    """Compiles model and kernels, without the example and the class names, to objects in the folder ``output``.

    Raises:
        ToolError: no compiler, or its message if it fails.
    """
    sources = [path.resolve() for path in model_sources(directory) if not path.name.endswith("_names.c")]
    target = Path(output).resolve()
    _call([find_compiler(compiler), "-std=c99", *flags, "-c", *map(str, sources)], target)
    return [target / f"{source.stem}.o" for source in sources]


def compiler_version(compiler: str) -> str:
    """First line that a compiler tells of itself."""
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    return (done.stdout.splitlines() or [compiler])[0]


def model_sources(directory: str | os.PathLike[str]) -> list[Path]:
    """The C files of an export's model and kernels, without the example program.

    Raises:
        ArgumentError: there are none.
    """
    sources = sorted((Path(directory) / "src").glob("*.c"))
    if not sources:
        raise ArgumentError(f"directory: {directory} holds no exported C files; export a model there first")
    return sources


def code_bytes(objects: Sequence[str | os.PathLike[str]]) -> CodeBytes:
    """Sums the sections of ELF objects or of one ELF binary.

    Raises:
        ToolError: a file is no ELF file.
    """
    totals = dict.fromkeys(elf.KINDS, 0)
    for path in objects:
        for kind, size in elf.section_bytes(Path(path)).items():
            totals[kind] += size
    return CodeBytes(**totals)


def run_program(
    binary: str | os.PathLike[str], sequences: Sequence[ArrayLike], *, codes: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Feeds sequences, each ``(T, I)``, to an exported program with a readout.

    Args:
        binary: what ``compile_host`` returned.
        sequences: raw features, sent with the nine digits that determine a float32; or codes.
        codes: the sequences are integer input codes.

    Returns:
        Classes ``(N,)`` and integer logits ``(N, classes)``.

    Raises:
        ToolError: the program failed, or printed something else.
    """
    lines = _run(binary, sequences, ["--logits", *(["--codes"] if codes else [])])
    if len(lines) != len(sequences) or any(line.startswith("output") for line in lines):
        raise ToolError(f"{binary}: expected {len(sequences)} lines of class and logits, got {lines[:1]}")
    if not lines:
        return np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=np.int32)
    table = np.array([line.split() for line in lines], dtype=np.int64)
    return table[:, 0], table[:, 1:].astype(np.int32)


def trace_program(
    binary: str | os.PathLike[str], sequences: Sequence[ArrayLike], *, codes: bool = False
) -> list[ProgramTrace]:
    """Like ``run_program``, for any model, with every state of every step."""
    lines = _run(binary, sequences, ["--trace", "--logits", *(["--codes"] if codes else [])])
    traces: list[ProgramTrace] = []
    states: dict[tuple[str, int], list[str]] = {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind in ("h", "c"):
            layer, _, row = rest.partition(" ")
            states.setdefault((kind, int(layer)), []).append(row)
            continue
        arrays = {key: _integers(" ".join(rows)).reshape(len(rows), -1) for key, rows in states.items()}
        layers = range(len(arrays) // 2)
        h, c = (tuple(arrays[state, k] for k in layers) for state in "hc")
        traces.append(ProgramTrace(h, c, _integers(rest)))
        states = {}
    if len(traces) != len(sequences):
        raise ToolError(f"{binary}: expected {len(sequences)} sequences, got {len(traces)}")
    return traces


def _integers(text: str) -> NDArray[np.int32]:
    # One call for many numbers: whole test parts have a hundred million.
    return np.fromstring(text, dtype=np.int32, sep=" ")


def _call(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise ToolError(f"{command[0]} failed:\n{done.stderr.strip()}")


def _sequence_text(sequence: ArrayLike, codes: bool) -> str:
    array: NDArray[Any] = np.asarray(sequence)
    if array.ndim != 2:
        raise ArgumentError(f"sequences: expected arrays (T, I), got shape {array.shape}")
    form = "%d" if codes else "%.9g"
    array = array.astype(np.int64 if codes else np.float32)
    rows = "\n".join(" ".join(form % value for value in row) for row in array.tolist())
    return f"{len(array)}\n{rows}\n"


def _run(binary: str | os.PathLike[str], sequences: Sequence[ArrayLike], options: list[str]) -> list[str]:
    text = "".join(_sequence_text(sequence, "--codes" in options) for sequence in sequences)
    command = [str(Path(binary).resolve()), *options]
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except OSError as error:
        raise ToolError(f"{binary}: cannot run ({error})") from error
    if done.returncode != 0:
        raise ToolError(f"{binary} failed with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout.splitlines()
