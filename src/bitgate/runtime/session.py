"""Running a frozen model in Python: whole sequences, or step by step with the state kept inside."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitgate.errors import ArgumentError, ShapeError
from bitgate.frozen import FrozenModel, Trace
from bitgate.frozen.bounds import code_limit
from bitgate.frozen.interpreter import Codes, LayerState
from bitgate.frozen.model import State
from bitgate.frozen.tables import INT16_LIMIT
from bitgate.runtime.binding import NativeModel, native_available

Backend = Literal["native", "interpreter"]


class Session:
    """One user of a frozen model: runs sequences, and keeps the state of step-by-step streams.

    Both backends give the same integers. Sessions of one model are independent of each other; a single session is
    not meant for several threads at once, except for ``run`` and ``trace``, which do not touch its state.

    Args:
        frozen: the model.
        backend: ``"native"``, ``"interpreter"``, or None for native where it is built.

    Raises:
        ArgumentError: an unknown backend.
        ToolError: the native backend is asked for, but not built.
    """

    def __init__(self, frozen: FrozenModel, backend: Backend | None = None) -> None:
        if backend not in ("native", "interpreter", None):
            raise ArgumentError(f"backend: {backend!r}, expected 'native', 'interpreter' or None")
        self.frozen = frozen
        self.backend: Backend = backend or ("native" if native_available() else "interpreter")
        self._native = NativeModel(frozen) if self.backend == "native" else None
        self.reset()

    def reset(self) -> None:
        """Puts the streams back to the zero state; the next ``step`` decides how many there are."""
        self._streams: Codes | None = None

    @property
    def state(self) -> State:
        """State of every layer, as a copy. Before the first step: zero, for one stream."""
        return self._unflatten(self._zero(1) if self._streams is None else self._streams.copy())

    @state.setter
    def state(self, state: State) -> None:
        self.frozen.require_causal("state")
        layers = self.frozen.flat_layers
        if len(state) != len(layers):
            raise ShapeError(f"state: expected {len(layers)} layers, got {len(state)}")
        batch = len(np.atleast_2d(state[0].h)) if state else 1
        streams = self._zero(batch)
        limits = (code_limit(self.frozen.state_bits), INT16_LIMIT)
        at = 0
        for k, (layer, part) in enumerate(zip(layers, state, strict=True)):
            for name, value, limit in zip("hc", (part.h, part.c), limits, strict=True):
                array = np.asarray(value)
                if array.shape != (batch, layer.hidden_size) or array.dtype != np.int16:
                    raise ShapeError(
                        f"state: {name} of layer {k}: expected int16 of shape ({batch}, {layer.hidden_size}), "
                        f"got {array.dtype} of shape {array.shape}"
                    )
                if array.size and int(np.abs(array.astype(np.int32)).max()) > limit:
                    raise ShapeError(f"state: {name} of layer {k}: a value is beyond ±{limit}")
                streams[:, at : at + layer.hidden_size] = array
                at += layer.hidden_size
        self._streams = streams if layers else None

    def step(self, x: ArrayLike) -> NDArray[np.integer[Any]]:
        """One time step of raw features: ``(I,)`` for one stream, or ``(B, I)`` for ``B`` streams side by side.

        Returns:
            Integer logits ``(classes,)`` or ``(B, classes)`` after the step; hidden codes without a readout.

        Raises:
            ArgumentError: the model is bidirectional.
            ShapeError: ``x`` does not fit the model, or its ``B`` is not that of the streams.
        """
        self.frozen.require_causal("step")
        array = np.asarray(x)
        if array.ndim == 1:
            return self.step(array[None])[0]
        size = self.frozen.input_size
        if array.ndim != 2:
            raise ShapeError(f"x: expected ({size},) or (B, {size}), got {array.shape}")
        if self._streams is not None and len(array) != len(self._streams):
            raise ShapeError(f"x: {len(array)} rows for {len(self._streams)} streams; reset() to change their number")
        if self._native is not None:
            return self._step_native(self._native, self.frozen.quantize(array))
        streams = self._zero(len(array)) if self._streams is None else self._streams
        state, output = self.frozen.step(self._unflatten(streams), array)
        self._streams = self._flatten(state, streams)
        return output

    def run(self, x: ArrayLike, lengths: ArrayLike | None = None) -> NDArray[np.integer[Any]]:
        """Same as ``FrozenModel.run``: whole sequences from the zero state; the streams of ``step`` stay."""
        array = np.asarray(x)
        if array.ndim == 2:
            return self.run(array[None], lengths)[0]
        trace = self._trace(array, lengths, keep_c=False)
        if trace.logits is not None:
            return trace.logits
        return np.concatenate(trace.h[-len(self.frozen.layers[-1]) :], axis=-1)

    def trace(self, x: ArrayLike, lengths: ArrayLike | None = None) -> Trace:
        """Same as ``FrozenModel.trace``: whole sequences ``(B, T, I)`` with every state of every step."""
        return self._trace(np.asarray(x), lengths, keep_c=True)

    def _trace(self, x: NDArray[Any], lengths: ArrayLike | None, keep_c: bool) -> Trace:
        if self._native is None:
            return self.frozen.trace(x, lengths)
        codes, steps = self.frozen.quantize_sequences(x, lengths)
        rows = np.arange(len(codes))
        ends = [codes[rows, steps - 1]]
        hs: list[Codes] = []
        cs: list[Codes] = []
        for directions in self.frozen.layers:
            runs = [self._native.run_layer(len(hs) + d, codes, steps, keep_c) for d in range(len(directions))]
            hs += [h for h, _ in runs]
            cs += [c for _, c in runs if c is not None]
            # A reverse direction ends at the first step, a forward one at its sequence's last.
            ends = [
                h[:, 0] if layer.reverse else h[rows, steps - 1] for layer, (h, _) in zip(directions, runs, strict=True)
            ]
            codes = np.concatenate([h for h, _ in runs], axis=-1)
        logits = None if self.frozen.readout is None else self._native.logits(np.concatenate(ends, axis=-1))
        return Trace(tuple(hs), tuple(cs), logits)

    def _step_native(self, native: NativeModel, codes: Codes) -> NDArray[np.integer[Any]]:
        if self._streams is None:
            self._streams = self._zero(len(codes))
        native.step(self._streams, codes)
        layers = self.frozen.flat_layers
        size = layers[-1].hidden_size if layers else self.frozen.input_size
        # The last layer's h stands before its c at the end of the state; without layers the state is the input.
        h = self._streams[:, -2 * size : -size] if layers else self._streams
        return h.copy() if self.frozen.readout is None else native.logits(h)

    def _zero(self, batch: int) -> Codes:
        units = sum(layer.hidden_size for layer in self.frozen.flat_layers)
        return np.zeros((batch, 2 * units if units else self.frozen.input_size), dtype=np.int16)

    def _unflatten(self, streams: Codes) -> State:
        parts, at = [], 0
        for layer in self.frozen.flat_layers:
            size = layer.hidden_size
            parts.append(LayerState(streams[:, at : at + size], streams[:, at + size : at + 2 * size]))
            at += 2 * size
        return tuple(parts)

    @staticmethod
    def _flatten(state: State, streams: Codes) -> Codes:
        return np.concatenate([array for part in state for array in (part.h, part.c)], axis=1) if state else streams
