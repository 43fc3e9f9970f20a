"""A frozen model in the vector kernels (``csrc``): which instruction set they use, and calls into them."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitgate.errors import ArgumentError, ShapeError
from bitgate.frozen import FrozenModel, Trace
from bitgate.frozen.interpreter import Codes
from bitgate.runtime.binding import NativeModel, import_native

SIMD_VARIABLE = "BITGATE_SIMD"
PATHS = ("portable", "neon", "avx2", "avx512")
"""From plain to wide, in the order of csrc/bg_simd.h; ``avx512`` means AVX-512 with VNNI."""


def supported_paths() -> tuple[str, ...]:
    """The paths that this build and processor have.

    Raises:
        ImportError: the native library is not built.
    """
    native = import_native()
    return tuple(path for number, path in enumerate(PATHS) if native.simd_supports(number))


def simd_path() -> str:
    """The instruction set of the inference kernels: ``$BITGATE_SIMD``, else the widest one this processor has.

    The variable is that of the training kernels, which know AVX-512 without VNNI too: there the next one is taken.

    Raises:
        ArgumentError: an unknown name, or a path that this processor lacks.
    """
    supported = supported_paths()
    wanted = os.environ.get(SIMD_VARIABLE) or supported[-1]
    if wanted == "avx512" and "avx2" in supported:
        return supported[-1]
    if wanted not in supported:
        known = "this processor runs" if wanted in PATHS else "expected one of"
        raise ArgumentError(f"{SIMD_VARIABLE}: {wanted!r}, {known} {', '.join(supported)}")
    return wanted


def burn(path: str, bits: int, rounds: int) -> int:
    """Runs the inner loop of the products in registers alone, for benchmarks; how many weights it multiplied."""
    return import_native().simd_burn(PATHS.index(path), bits, rounds)


class SimdEngine:
    """A frozen model packed for the vector kernels; immutable, shared by sessions and threads."""

    checks_steps = True

    def __init__(self, frozen: FrozenModel, path: str, int8_weights: int | None = None) -> None:
        """Packs ``frozen`` for ``path``; matrices of up to ``int8_weights`` weights (the default is tuned) as bytes."""
        self._frozen = frozen
        self._native = import_native()
        self.kernel = path
        input_map = frozen.input_map
        mean, gain = np.ascontiguousarray(input_map.mean), np.ascontiguousarray(input_map.gain)
        limit = () if int8_weights is None else (int8_weights,)
        self._model = self._native.SimdModel(NativeModel(frozen).model, PATHS.index(path), mean, gain, *limit)
        self._directions = tuple(len(directions) for directions in frozen.layers)
        self._dtype = np.dtype(np.int32 if frozen.readout is not None else np.int16)

    def streams(self, count: int) -> Any:
        """States of ``count`` streams, zero: ``step(x, out)``, ``save(array)``, ``restore(array)``."""
        return self._native.Streams(self._model, count, np.empty, self._dtype)

    def run(
        self, x: NDArray[Any], lengths: ArrayLike | None, out: NDArray[Any] | None = None
    ) -> NDArray[np.integer[Any]]:
        """Same as ``FrozenModel.run`` for ``(B, T, I)``; the result is ``out`` where given."""
        features, steps = self._check(x, lengths)
        batch, longest = features.shape[:2]
        nothing = [None] * len(self._frozen.flat_layers)
        if self._frozen.readout is not None:
            result = np.empty((batch, self._frozen.output_size), np.int32) if out is None else out
            self._run(features, steps, nothing, nothing, result)
            return result
        last = self._frozen.layers[-1]
        if out is not None and len(last) == 1:
            out[...] = 0
            hs: list[Codes] = [out]
        else:
            hs = [np.zeros((batch, longest, layer.hidden_size), np.int16) for layer in last]
        self._run(features, steps, [*nothing[len(last) :], *hs], nothing, None)
        if out is None or len(last) > 1:
            return np.concatenate(hs, axis=-1, out=out) if len(last) > 1 else hs[0]
        return out

    def trace(self, x: NDArray[Any], lengths: ArrayLike | None) -> Trace:
        """Same as ``FrozenModel.trace``."""
        features, steps = self._check(x, lengths)
        batch, longest = features.shape[:2]
        sizes = [layer.hidden_size for layer in self._frozen.flat_layers]
        hs, cs = ([np.zeros((batch, longest, size), np.int16) for size in sizes] for _ in "hc")
        logits = None if self._frozen.readout is None else np.empty((batch, self._frozen.output_size), np.int32)
        self._run(features, steps, hs, cs, logits)
        return Trace(tuple(hs), tuple(cs), logits)

    def multiply(self, layer: int, rounds: int) -> tuple[int, int]:
        """Runs the matrix products of one step of a layer ``rounds`` times, for benchmarks; bits of packed weights."""
        return self._model.multiply(layer, rounds)

    def _check(self, x: NDArray[Any], lengths: ArrayLike | None) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        features = np.asarray(x, dtype=np.float32, order="C")
        if features.ndim != 3 or 0 in features.shape or features.shape[2] != self._frozen.input_size:
            self._frozen.quantize_sequences(features, lengths)  # tells what is wrong
            raise ShapeError(f"x: expected (B, T, {self._frozen.input_size}), got {features.shape}")
        return features, self._frozen.check_lengths(lengths, *features.shape[:2]).astype(np.int32)

    def _run(
        self,
        features: NDArray[np.float32],
        steps: NDArray[np.int32],
        hs: Sequence[Codes | None],
        cs: Sequence[Codes | None],
        logits: NDArray[np.int32] | None,
    ) -> None:
        if not self._model.run(features, steps, self._directions, tuple(hs), tuple(cs), logits):
            self._frozen.quantize(features)  # names the value that is not finite
            raise ShapeError("x: expected finite numbers")
