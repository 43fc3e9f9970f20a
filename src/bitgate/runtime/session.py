"""Running a frozen model in Python: whole sequences, or step by step with the state kept inside."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitgate.errors import ArgumentError, ShapeError
from bitgate.frozen import FrozenLayer, FrozenModel, Trace
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
        parts = [
            value
            for k, (layer, part) in enumerate(zip(layers, state, strict=True))
            for value in self._check_state(f"layer {k}", layer, part, batch)
        ]
        streams = np.concatenate(parts, axis=1) if parts else self._zero(batch)
        self._streams = streams if layers else None

    def _check_state(self, where: str, layer: FrozenLayer, part: LayerState, batch: int) -> list[Codes]:
        """The arrays of a layer's state ``(B, size)``, in the order of bg_model.h."""
        size, limit = layer.hidden_size, code_limit(self.frozen.state_bits)
        wanted: list[tuple[str, Codes | None, tuple[int, ...], int, int]] = [
            ("h", part.h, (batch, size), -limit, limit),
            ("c", part.c, (batch, size), -INT16_LIMIT, INT16_LIMIT),
        ]
        if layer.skip is not None:
            wanted.append(("anchor", part.anchor, (batch, size), -limit, limit))
            wanted.append(("position", part.position, (batch,), 0, layer.skip.block_size - 1))
        found = []
        for name, value, shape, lowest, highest in wanted:
            array = np.asarray(value)
            if array.shape != shape or array.dtype != np.int16:
                raise ShapeError(
                    f"state: {name} of {where}: expected int16 of shape {shape}, "
                    f"got {array.dtype} of shape {array.shape}"
                )
            if array.size and not lowest <= int(array.min()) <= int(array.max()) <= highest:
                raise ShapeError(f"state: {name} of {where}: a value is beyond {lowest} to {highest}")
            found.append(array.reshape(batch, -1))
        return found

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
        # The last layer's h begins its part at the end of the state; without layers the state is the input.
        at = self._streams.shape[1] - layers[-1].state_size if layers else 0
        h = self._streams[:, at : at + layers[-1].hidden_size] if layers else self._streams
        return h.copy() if self.frozen.readout is None else native.logits(h)

    def _zero(self, batch: int) -> Codes:
        values = sum(layer.state_size for layer in self.frozen.flat_layers)
        return np.zeros((batch, values or self.frozen.input_size), dtype=np.int16)

    def _unflatten(self, streams: Codes) -> State:
        parts, at = [], 0
        for layer in self.frozen.flat_layers:
            size = layer.hidden_size
            h, c = streams[:, at : at + size], streams[:, at + size : at + 2 * size]
            at += layer.state_size
            if layer.skip is None:
                parts.append(LayerState(h, c))
            else:
                parts.append(LayerState(h, c, streams[:, at - 1 - size : at - 1], streams[:, at - 1]))
        return tuple(parts)

    @staticmethod
    def _flatten(state: State, streams: Codes) -> Codes:
        found = []
        for part in state:
            found += [part.h, part.c]
            if part.anchor is not None and part.position is not None:
                found += [part.anchor, part.position[:, None]]
        return np.concatenate(found, axis=1) if found else streams
