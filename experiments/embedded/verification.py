"""Long verifications, chunk by chunk, and sizes of built images."""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from bitgate.export import c99
from bitgate.export.c_fast import Kernels
from bitgate.export.c_header import state_sizes
from bitgate.export.c_kernels import kernel_files, source_folder
from bitgate.export.difference import find_difference, reference
from bitgate.export.targets import build_image, execute, find_target
from bitgate.export.verify import Verification, summarize
from bitgate.frozen import FrozenModel

CHUNK = 50  # sequences whose every state is in memory at once, as text on the host


def kernels_of(frozen: FrozenModel, kernels: Kernels) -> dict[str, Any]:
    """The C files of a program, and their digest: a result belongs to the kernels that it was measured with."""
    names = kernel_files(frozen, kernels)
    return {"kernel_files": names, "kernels_digest": digest(names)}


def digest(names: Sequence[str]) -> str:
    """Of the content of C files; of those that there are no more, the name counts."""
    found = hashlib.sha256()
    for name in names:
        path = source_folder().joinpath(name)
        found.update(path.read_bytes() if path.is_file() else name.encode())
    return found.hexdigest()[:12]


def verify_all(
    frozen: FrozenModel, sequences: Sequence[NDArray[np.float32]], target: str, kernels: Kernels
) -> dict[str, Any]:
    """Verifies any number of sequences of raw features, each ``(T, I)``; stops at the first difference."""
    chosen = find_target(target)
    parts: list[Verification] = []
    with tempfile.TemporaryDirectory(prefix="bitgate-embedded-") as temporary:
        c99(frozen, temporary, kernels=kernels)
        image = build_image(frozen, Path(temporary), chosen, kernels=kernels)
        for first in track(range(0, len(sequences), CHUNK), description=f"{target}, {kernels}"):
            chunk = sequences[first : first + CHUNK]
            execution = execute(image, frozen, [frozen.quantize(x) for x in chunk])
            parts.append(
                summarize(frozen, image, execution, find_difference(reference(frozen, chunk), execution.traces))
            )
            if not parts[-1].is_equal:
                break
    return _combine(parts)


def _combine(parts: Sequence[Verification]) -> dict[str, Any]:
    """One result of all chunks; the counts of steps are weighted by their number."""
    last = parts[-1]
    row = last.as_dict() | {
        key: sum(getattr(part, key) for part in parts) for key in ("n_sequences", "n_steps", "n_values")
    }
    row["difference"] = None if last.difference is None else f"chunk {len(parts) - 1} of {CHUNK}: {last.difference}"
    if last.step_count_mean is not None:
        weights = [part.n_steps for part in parts]
        row["step_count_mean"] = float(np.average([part.step_count_mean for part in parts], weights=weights))
        row["step_count_min"] = min(part.step_count_min for part in parts)
        row["step_count_max"] = max(part.step_count_max for part in parts)
        row["stack_bytes"] = max(part.stack_bytes or 0 for part in parts) or None
    return row


def sizes(frozen: FrozenModel, target: str, kernels: Kernels, optimize: str) -> dict[str, Any]:
    """Flash and RAM of the linked image: nothing is run."""
    with tempfile.TemporaryDirectory(prefix="bitgate-embedded-") as temporary:
        c99(frozen, temporary, kernels=kernels)
        image = build_image(frozen, Path(temporary), find_target(target), kernels=kernels, optimize=optimize)
    return {
        "compiler": image.compiler,
        "code_bytes": image.code_bytes,
        "constant_bytes": image.constant_bytes,
        "flash_bytes": image.code_bytes + image.constant_bytes,
        "ram_bytes": 2 * sum(state_sizes(frozen, kernels)) + image.data_bytes,
        "weight_bytes": frozen.cost().weight_bytes,
    }
