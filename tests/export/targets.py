"""Which targets this installation can verify, and how a test builds and breaks an image."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from bitgate import export
from bitgate.export.c_fast import Kernels
from bitgate.export.difference import Difference, find_difference, reference
from bitgate.export.targets import TARGETS, Image, build_image, execute
from bitgate.frozen import FrozenModel, PackedMatrix
from tests.export.build import COMPILERS

NEEDS = {"native": (), "unicorn": ("ziglang", "unicorn"), "wasmtime": ("ziglang", "wasmtime")}
LENGTHS = (1, 7, 4)


def _missing(emulator: str) -> str:
    if emulator == "native":
        return "" if COMPILERS else "no C compiler"
    return ", ".join(module for module in NEEDS[emulator] if find_spec(module) is None)


def target_parameters(*emulators: str) -> list[object]:
    """Every target of these emulators (all without any), skipped with the reason where a tool is absent."""
    chosen = [target for target in TARGETS.values() if not emulators or target.emulator in emulators]
    assert chosen
    return [
        pytest.param(
            target.name,
            marks=pytest.mark.skipif(bool(_missing(target.emulator)), reason=f"missing: {_missing(target.emulator)}"),
        )
        for target in chosen
    ]


def random_lengths(rng: np.random.Generator, model: FrozenModel) -> list[np.ndarray]:
    """Sequences of unequal length, so that a state that is not reset shows."""
    shift = model.input_map.mean
    return [rng.normal(size=(steps, model.input_size)).astype(np.float32) + shift for steps in LENGTHS]


def build(model: FrozenModel, folder: Path, target: str, kernels: Kernels = "plain") -> Image:
    export.c99(model, folder, kernels=kernels)
    return build_image(model, folder, TARGETS[target], kernels=kernels)


def compare(model: FrozenModel, image: Image, sequences: list[np.ndarray]) -> Difference | None:
    codes = [model.quantize(x) for x in sequences]
    return find_difference(reference(model, sequences), execute(image, model, codes).traces)


def flip_code(image: Image, matrix: PackedMatrix) -> None:
    """Turns one weight of -1 in the built file into +1 (codes 0 and 2 of a ternary matrix)."""
    content = bytearray(image.path.read_bytes())
    packed = matrix.packed.tobytes()
    assert content.count(packed) == 1, "the constants do not lie in the image as one piece"
    byte = next(k for k in range(len(packed)) if packed[k] & 3 == 0)
    content[content.index(packed) + byte] ^= 2
    image.path.write_bytes(content)
