"""A frozen model in the vector kernels (``csrc``): which instruction set they use, and calls into them."""

import copy
import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitgate.errors import ArgumentError, ShapeError, ToolError
from bitgate.frozen import FrozenModel, Trace
from bitgate.frozen.interpreter import Codes
from bitgate.runtime.binding import NativeModel, import_native

SIMD_VARIABLE = "BITGATE_SIMD"
PATHS = ("portable", "neon", "avx2", "avx512")
"""From plain to wide, in the order of csrc/bg_simd.h; ``avx512`` means AVX-512 with VNNI."""


UNITS_PER_THREAD = 256
"""A thread takes at least so many units of a layer: with fewer, waiting for each other costs more than it saves."""


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

    def __init__(
        self, frozen: FrozenModel, path: str, int8_weights: int | None = None, extensions: bool = True
    ) -> None:
        """Packs ``frozen`` for ``path``.

        Args:
            frozen: the model.
            path: one of ``supported_paths()``.
            int8_weights: matrices of up to so many weights lie as bytes; the default is tuned.
            extensions: whether to use instructions that only some processors of the path have (VBMI, AMX).
        """
        self._base: SimdEngine | None = None
        self._frozen = frozen
        self._native = import_native()
        self.kernel = path
        input_map = frozen.input_map
        mean, gain = np.ascontiguousarray(input_map.mean), np.ascontiguousarray(input_map.gain)
        limit = -1 if int8_weights is None else int8_weights
        plain = NativeModel(frozen).model
        self._crew: Any = None
        self._model = self._native.SimdModel(plain, PATHS.index(path), mean, gain, limit, extensions)
        # Found once: looking all this up again would cost as much as ten steps of a small layer.
        self._directions = tuple(len(directions) for directions in frozen.layers)
        self._nothing = (None,) * len(frozen.flat_layers)
        self._last_sizes = tuple(layer.hidden_size for layer in frozen.layers[-1]) if frozen.layers else ()
        self._input_size = frozen.input_size
        self._classes = None if frozen.readout is None else frozen.output_size
        self._dtype = np.dtype(np.int32 if frozen.readout is not None else np.int16)

    def with_threads(self, threads: int, least_units: int = UNITS_PER_THREAD, patient: bool = False) -> "SimdEngine":
        """The same packed weights for a user of their own with up to ``threads`` threads, which share large layers.

        Args:
            threads: 1 to 16, the caller's included. They start when first needed and end with the engine.
            least_units: a thread takes at least so many units of a layer.
            patient: whether a step waits for threads that sleep, for tests; otherwise it goes alone.

        Raises:
            ToolError: the system has no threads that the kernels know.
        """
        other = copy.copy(self)
        other._base = self  # keeps it findable for further sessions
        try:
            other._crew = self._native.Crew(threads, least_units, patient)
        except OSError as error:
            raise ToolError(f"threads: {threads}, but {error}") from error
        return other

    def streams(self, count: int) -> Any:
        """States of ``count`` streams, zero: ``step(x, out)``, ``save(array)``, ``restore(array)``."""
        return self._native.Streams(self._model, count, np.empty, self._dtype, self._crew)

    def run(
        self, x: NDArray[Any], lengths: ArrayLike | None, out: NDArray[Any] | None = None
    ) -> NDArray[np.integer[Any]]:
        """Same as ``FrozenModel.run`` for ``(B, T, I)``; the result is ``out`` where given."""
        features, steps = self._check(x, lengths)
        batch, longest = features.shape[:2]
        if self._classes is not None:
            result = np.empty((batch, self._classes), np.int32) if out is None else out
            self._run(features, steps, self._nothing, self._nothing, result)
            return result
        sizes = self._last_sizes
        if out is not None and len(sizes) == 1:
            hs: tuple[Codes, ...] = (out,)
        else:
            hs = tuple(np.empty((batch, longest, size), np.int16) for size in sizes)
        if lengths is not None:
            for h in hs:
                h[...] = 0  # what lies behind an end is not written
        self._run(features, steps, self._nothing[len(sizes) :] + hs, self._nothing, None)
        return np.concatenate(hs, axis=-1, out=out) if len(sizes) > 1 else hs[0]

    def trace(self, x: NDArray[Any], lengths: ArrayLike | None) -> Trace:
        """Same as ``FrozenModel.trace``."""
        features, steps = self._check(x, lengths)
        batch, longest = features.shape[:2]
        sizes = [layer.hidden_size for layer in self._frozen.flat_layers]
        hs, cs = (tuple(np.zeros((batch, longest, size), np.int16) for size in sizes) for _ in "hc")
        logits = None if self._frozen.readout is None else np.empty((batch, self._frozen.output_size), np.int32)
        self._run(features, steps, hs, cs, logits)
        return Trace(hs, cs, logits)

    def multiply(self, layer: int, rounds: int) -> tuple[int, int]:
        """Runs the matrix products of one step of a layer ``rounds`` times, for benchmarks; bits of packed weights."""
        return self._model.multiply(layer, rounds)

    def _check(self, x: NDArray[Any], lengths: ArrayLike | None) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        features = np.asarray(x, dtype=np.float32, order="C")
        if features.ndim != 3 or 0 in features.shape or features.shape[2] != self._input_size:
            self._frozen.quantize_sequences(features, lengths)  # tells what is wrong
            raise ShapeError(f"x: expected (B, T, {self._input_size}), got {features.shape}")
        batch, longest, _ = features.shape
        if lengths is None:
            steps = np.empty(batch, np.int32)
            steps.fill(longest)
            return features, steps
        return features, self._frozen.check_lengths(lengths, batch, longest).astype(np.int32)

    def _run(
        self,
        features: NDArray[np.float32],
        steps: NDArray[np.int32],
        hs: tuple[Codes | None, ...],
        cs: tuple[Codes | None, ...],
        logits: NDArray[np.int32] | None,
    ) -> None:
        if not self._model.run(features, steps, self._directions, hs, cs, logits, self._crew):
            self._frozen.quantize(features)  # names the value that is not finite
            raise ShapeError("x: expected finite numbers")
