"""Which kernels run a model, and one packed copy of its weights for all sessions."""

import os
import threading
from typing import Any, Literal, Protocol
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitgate.errors import ArgumentError
from bitgate.frozen import FrozenModel, Trace
from bitgate.frozen.interpreter import Codes
from bitgate.runtime.binding import native_available
from bitgate.runtime.plain import InterpreterEngine, PlainEngine
from bitgate.runtime.simd import SimdEngine, simd_path

Backend = Literal["native", "plain", "interpreter"]
BACKENDS = ("native", "plain", "interpreter")
MAX_THREADS = 16
"""Of one session; BG_CREW_MOST in csrc/bg_crew.h."""


class Streams(Protocol):
    """States of streams that step side by side."""

    def step(self, x: Any, out: NDArray[Any] | None = None, /) -> Any:
        """One step of float32 features ``(I,)`` or ``(B, I)``; NotImplemented, and no step, if one is not finite."""

    def save(self, states: Codes, /) -> None:
        """Copies the states into ``(B, S)``."""

    def restore(self, states: Codes, /) -> None:
        """Takes the states from ``(B, S)``."""


class Engine(Protocol):
    """A model in some kernels: immutable, for any number of sessions and threads."""

    kernel: str
    checks_steps: bool  # whether Streams.step takes any arguments, and refuses those that do not fit

    def streams(self, count: int) -> Streams:
        """States of ``count`` streams, zero."""

    def run(
        self, x: NDArray[Any], lengths: ArrayLike | None, out: NDArray[Any] | None = None
    ) -> NDArray[np.integer[Any]]:
        """Same as ``FrozenModel.run`` for ``(B, T, I)``; the result is ``out`` where given."""

    def trace(self, x: NDArray[Any], lengths: ArrayLike | None) -> Trace:
        """Same as ``FrozenModel.trace``."""


# By the identity of the model, which an engine keeps alive: while the entry lives, no other model has that number.
_engines: WeakValueDictionary[tuple[int, str], Engine] = WeakValueDictionary()
_lock = threading.Lock()


def choose_backend(backend: Backend | None) -> Backend:
    """``backend``, or what this installation has.

    Raises:
        ArgumentError: an unknown backend.
    """
    if backend not in (*BACKENDS, None):
        raise ArgumentError(f"backend: {backend!r}, expected 'native', 'plain', 'interpreter' or None")
    return backend or ("native" if native_available() else "interpreter")


def shared_engine(frozen: FrozenModel, backend: Backend) -> Engine:
    """The engine of ``frozen``, made once for each kernel.

    Raises:
        ToolError: the native library is needed, but not built.
        ArgumentError: ``$BITGATE_SIMD`` names no path of this processor.
    """
    kernel = simd_path() if backend == "native" and native_available() else backend
    with _lock:
        engine = _engines.get((id(frozen), kernel))
        if engine is None:
            engine = _engines[id(frozen), kernel] = _make(frozen, kernel)
        return engine


def check_threads(threads: int, backend: Backend) -> int:
    """``threads``, if a session on ``backend`` can have so many.

    Raises:
        ArgumentError: it cannot.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise ArgumentError(f"threads: {threads!r}, expected a whole number from 1 to {MAX_THREADS}")
    if threads > 1 and backend != "native":
        raise ArgumentError(f"threads: {threads}, but the {backend} backend has one; expected 1, or the native backend")
    return threads


def private_engine(frozen: FrozenModel, backend: Backend, threads: int) -> Engine:
    """The engine of one session: the shared one, or over it one with threads of its own, at most one for each core.

    Raises:
        ToolError: the native library is needed, but not built, or threads, which this system lacks.
        ArgumentError: ``$BITGATE_SIMD`` names no path of this processor.
    """
    engine = shared_engine(frozen, backend)
    threads = min(threads, count_cores())
    return engine.with_threads(threads) if threads > 1 and isinstance(engine, SimdEngine) else engine


def count_cores() -> int:
    """The processor's cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _make(frozen: FrozenModel, kernel: str) -> Engine:
    if kernel == "interpreter":
        return InterpreterEngine(frozen)
    return PlainEngine(frozen) if kernel in ("plain", "native") else SimdEngine(frozen, kernel)
