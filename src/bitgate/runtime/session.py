"""Running a frozen model in Python: whole sequences, or step by step with the state kept inside."""

from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitgate.errors import ShapeError
from bitgate.frozen import FrozenLayer, FrozenModel, Trace
from bitgate.frozen.bounds import code_limit
from bitgate.frozen.interpreter import Codes, LayerState
from bitgate.frozen.model import State
from bitgate.frozen.tables import INT16_LIMIT
from bitgate.runtime.engines import Backend, Engine, Streams, check_threads, choose_backend, private_engine
from bitgate.runtime.plain import copy_state, split_states, zero_states

Output = NDArray[np.integer[Any]]


def _not_started(x: ArrayLike, out: NDArray[Any] | None = None) -> Any:
    return NotImplemented


class Session:
    """One user of a frozen model: runs sequences, and keeps the state of step-by-step streams.

    All backends give the same integers. Sessions of one model share its packed weights and are independent of each
    other: give each thread its own. ``run`` and ``trace`` do not touch the state and may be called from any thread.

    Args:
        frozen: the model.
        backend: ``"native"`` (the vector kernels), ``"plain"`` (the C kernels of the microcontrollers),
            ``"interpreter"`` (NumPy), or None for native where it is built.
        threads: up to so many threads, 1 to 16, work at one step or sequence, the caller's included, but no more than
            there are cores; more than 1 needs the vector kernels. Each takes at least 256 units of a layer: smaller
            ones have one thread, for waiting for each other would cost more than it saves. The others start when
            first needed, spin for 50 us after each step, then sleep, and end with the session. Steps that are
            further apart go alone, so they help in sequences and where steps follow each other closely. They want
            cores of their own: on a busy machine one thread is faster.

    Raises:
        ArgumentError: an unknown backend, ``$BITGATE_SIMD`` names a path that this processor lacks, or ``threads`` is
            out of range or more than the backend can use.
        ToolError: a C backend or threads are asked for, but not built.
    """

    def __init__(self, frozen: FrozenModel, backend: Backend | None = None, *, threads: int = 1) -> None:
        self.frozen = frozen
        self.backend: Backend = choose_backend(backend)
        self.threads = check_threads(threads, self.backend)
        self._engine: Engine = private_engine(frozen, self.backend, self.threads)
        self.reset()

    @property
    def kernel(self) -> str:
        """What runs: ``avx512``, ``avx2``, ``neon``, ``portable``, ``plain`` or ``interpreter``."""
        return self._engine.kernel

    def reset(self) -> None:
        """Puts the streams back to the zero state; the next ``step`` decides how many there are."""
        self._use(None, 0)

    def copy(self) -> "Session":
        """A session over the same weights, with a copy of the state."""
        other = Session(self.frozen, self.backend, threads=self.threads)
        if self._streams is not None:
            other._use(self._filled(self._saved(self._streams, self._count)), self._count)
        return other

    @property
    def state(self) -> State:
        """State of every layer, as a copy. Before the first step: zero, for one stream."""
        states = zero_states(self.frozen, 1) if self._streams is None else self._saved(self._streams, self._count)
        return split_states(self.frozen, states)

    @state.setter
    def state(self, state: State) -> None:
        states = self._join(state)
        self._use(self._filled(states) if state else None, len(states))

    @overload
    def step(self, x: ArrayLike, out: NDArray[Any] | None = None) -> Output: ...
    @overload
    def step(self, x: ArrayLike, out: NDArray[Any] | None = None, *, state: State) -> tuple[Output, State]: ...
    def step(
        self, x: ArrayLike, out: NDArray[Any] | None = None, *, state: State | None = None
    ) -> Output | tuple[Output, State]:
        """One time step of raw features: ``(I,)`` for one stream, or ``(B, I)`` for ``B`` streams side by side.

        Contiguous float32 is read where it stands; anything else that NumPy takes, torch tensors included, is
        converted first.

        Args:
            x: the features.
            out: array for the result, contiguous, of its type and shape; a new one where None.
            state: state before the step, instead of the one kept inside, which stays as it is.

        Returns:
            Integer logits ``(classes,)`` or ``(B, classes)`` after the step; hidden codes without a readout. With
            ``state``: that, and the state after the step.

        Raises:
            ArgumentError: the model is bidirectional.
            ShapeError: ``x`` does not fit the model, a value is not finite, ``B`` is not that of the streams, or
                ``out`` does not fit the result. The state is as before.
            RuntimeError: two threads step one session at once.
        """
        if state is None:
            result = self._step(x, out)
            return result if result is not NotImplemented else self._step_slowly(x, out)
        states = self._join(state)
        array = self._features(x)
        if array.ndim == 2 and len(array) != len(states):
            raise ShapeError(f"x: {len(array)} rows for a state of {len(states)} streams")
        streams = self._filled(states)
        result = self._checked_step(streams, len(states), array, out)
        return result, split_states(self.frozen, self._saved(streams, len(states)))

    def run(self, x: ArrayLike, lengths: ArrayLike | None = None, out: NDArray[Any] | None = None) -> Output:
        """Same as ``FrozenModel.run``: whole sequences from the zero state; the streams of ``step`` stay.

        Args:
            x: ``(B, T, I)``, or ``(T, I)`` for one sequence.
            lengths: ``(B,)`` steps of each sequence; all T where None.
            out: array for the result, contiguous, of its type and shape; a new one where None.
        """
        array = np.asarray(x)
        if array.ndim == 2:
            return self.run(array[None], lengths, None if out is None else out[None])[0]
        if out is not None and array.ndim == 3:
            self._check_out(out, array.shape[:1] if self.frozen.readout is not None else array.shape[:2])
        return self._engine.run(array, lengths, out)

    def trace(self, x: ArrayLike, lengths: ArrayLike | None = None) -> Trace:
        """Same as ``FrozenModel.trace``: whole sequences ``(B, T, I)`` with every state of every step."""
        return self._engine.trace(np.asarray(x), lengths)

    def _use(self, streams: Streams | None, count: int) -> None:
        self._streams, self._count = streams, count
        # Bound once: looking the method up again would cost as much as a small step.
        self._step = streams.step if streams is not None and self._engine.checks_steps else _not_started

    def _step_slowly(self, x: ArrayLike, out: NDArray[Any] | None) -> Output:
        """The first step of a session, and every step whose arguments need a conversion or an explanation."""
        self.frozen.require_causal("step")
        array = self._features(x)
        batch = 1 if array.ndim == 1 else len(array)
        if self._streams is None:
            self.frozen.quantize(array)  # what is wrong shall not decide the number of streams
            self._use(self._engine.streams(batch), batch)
        if batch != self._count:
            raise ShapeError(f"x: {batch} rows for {self._count} streams; reset() to change their number")
        assert self._streams is not None
        return self._checked_step(self._streams, batch, array, out)

    def _checked_step(self, streams: Streams, batch: int, x: NDArray[Any], out: NDArray[Any] | None) -> Output:
        if out is not None:
            self._check_out(out, (batch,) if x.ndim == 2 else ())
        result = streams.step(x, out)
        if result is NotImplemented:
            self.frozen.quantize(x)  # names the value that is not finite
            raise ShapeError(f"x: cannot step features of shape {x.shape}")
        return result

    def _features(self, x: ArrayLike) -> NDArray[np.float32]:
        array = np.asarray(x, dtype=np.float32, order="C")
        size = self.frozen.input_size
        if array.ndim not in (1, 2) or (array.ndim == 2 and len(array) == 0):
            raise ShapeError(f"x: expected ({size},) or (B, {size}), got {array.shape}")
        if array.shape[-1] != size:
            raise ShapeError(f"x: expected {size} features on the last axis, got shape {array.shape}")
        return array

    def _check_out(self, out: NDArray[Any], leading: tuple[int, ...]) -> None:
        shape = (*leading, self.frozen.output_size)
        dtype = np.dtype(np.int32 if self.frozen.readout is not None else np.int16)
        fits = isinstance(out, np.ndarray) and out.dtype == dtype and out.shape == shape
        if not (fits and out.flags.c_contiguous and out.flags.writeable):
            found = f"{getattr(out, 'dtype', type(out).__name__)} {getattr(out, 'shape', '')}"
            raise ShapeError(f"out: expected a writable, contiguous {dtype.name} array of shape {shape}, got {found}")

    def _saved(self, streams: Streams, count: int) -> Codes:
        states = zero_states(self.frozen, count)
        streams.save(states)
        return states

    def _filled(self, states: Codes) -> Streams:
        streams = self._engine.streams(len(states))
        streams.restore(states)
        return streams

    def _join(self, state: State) -> Codes:
        """States ``(B, S)`` from those of the layers, checked."""
        self.frozen.require_causal("state")
        layers = self.frozen.flat_layers
        if len(state) != len(layers):
            raise ShapeError(f"state: expected {len(layers)} layers, got {len(state)}")
        batch = len(np.atleast_2d(state[0].h)) if state else 1
        for k, (layer, part) in enumerate(zip(layers, state, strict=True)):
            self._check_state(f"layer {k}", layer, part, batch)
        states = zero_states(self.frozen, batch)
        copy_state(split_states(self.frozen, states), state)
        return states

    def _check_state(self, where: str, layer: FrozenLayer, part: LayerState, batch: int) -> None:
        size, limit = layer.hidden_size, code_limit(self.frozen.state_bits)
        wanted: list[tuple[str, Codes | None, tuple[int, ...], int, int]] = [
            ("h", part.h, (batch, size), -limit, limit),
            ("c", part.c, (batch, size), -INT16_LIMIT, INT16_LIMIT),
        ]
        if layer.skip is not None:
            wanted.append(("anchor", part.anchor, (batch, size), -limit, limit))
            wanted.append(("position", part.position, (batch,), 0, layer.skip.block_size - 1))
        for name, value, shape, lowest, highest in wanted:
            array = np.asarray(value)
            if array.shape != shape or array.dtype != np.int16:
                raise ShapeError(
                    f"state: {name} of {where}: expected int16 of shape {shape}, "
                    f"got {array.dtype} of shape {array.shape}"
                )
            if array.size and not lowest <= int(array.min()) <= int(array.max()) <= highest:
                raise ShapeError(f"state: {name} of {where}: a value is beyond {lowest} to {highest}")
