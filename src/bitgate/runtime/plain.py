"""Engines without vector kernels: the C kernels of the microcontrollers, and the interpreter."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitgate.frozen import FrozenModel, Trace
from bitgate.frozen.interpreter import Codes, LayerState
from bitgate.frozen.model import State
from bitgate.runtime.binding import NativeModel


def zero_states(frozen: FrozenModel, count: int) -> Codes:
    """States ``(B, S)`` of ``count`` streams, as bg_model.h lays them out; the inputs where there is no layer."""
    values = sum(layer.state_size for layer in frozen.flat_layers)
    return np.zeros((count, values or frozen.input_size), dtype=np.int16)


def split_states(frozen: FrozenModel, states: Codes) -> State:
    """Views of the layers' parts of states ``(B, S)``."""
    parts, at = [], 0
    for layer in frozen.flat_layers:
        size = layer.hidden_size
        h, c = states[:, at : at + size], states[:, at + size : at + 2 * size]
        at += layer.state_size
        if layer.skip is None:
            parts.append(LayerState(h, c))
        else:
            parts.append(LayerState(h, c, states[:, at - 1 - size : at - 1], states[:, at - 1]))
    return tuple(parts)


def copy_state(target: State, state: State) -> None:
    """Writes the arrays of ``state`` into those of ``target``."""
    for to, part in zip(target, state, strict=True):
        to.h[...], to.c[...] = part.h, part.c
        if to.anchor is not None and part.anchor is not None:
            to.anchor[...] = part.anchor
        if to.position is not None and part.position is not None:
            to.position[...] = part.position


class PlainEngine:
    """A frozen model in the plain C kernels."""

    kernel = "plain"
    checks_steps = False

    def __init__(self, frozen: FrozenModel) -> None:
        self._frozen = frozen
        self._native = NativeModel(frozen)

    def streams(self, count: int) -> "PlainStreams":
        """States of ``count`` streams, zero."""
        return PlainStreams(self._frozen, count, self._native)

    def run(
        self, x: NDArray[Any], lengths: ArrayLike | None, out: NDArray[Any] | None = None
    ) -> NDArray[np.integer[Any]]:
        """Same as ``FrozenModel.run`` for ``(B, T, I)``; the result is ``out`` where given."""
        return output_of(self._frozen, self._trace(x, lengths, keep_c=False), out)

    def trace(self, x: NDArray[Any], lengths: ArrayLike | None) -> Trace:
        """Same as ``FrozenModel.trace``."""
        return self._trace(x, lengths, keep_c=True)

    def _trace(self, x: NDArray[Any], lengths: ArrayLike | None, keep_c: bool) -> Trace:
        codes, steps = self._frozen.quantize_sequences(x, lengths)
        rows = np.arange(len(codes))
        ends = [codes[rows, steps - 1]]
        hs: list[Codes] = []
        cs: list[Codes] = []
        for directions in self._frozen.layers:
            runs = [self._native.run_layer(len(hs) + d, codes, steps, keep_c) for d in range(len(directions))]
            hs += [h for h, _ in runs]
            cs += [c for _, c in runs if c is not None]
            # A reverse direction ends at the first step, a forward one at its sequence's last.
            ends = [
                h[:, 0] if layer.reverse else h[rows, steps - 1] for layer, (h, _) in zip(directions, runs, strict=True)
            ]
            codes = np.concatenate([h for h, _ in runs], axis=-1)
        logits = None if self._frozen.readout is None else self._native.logits(np.concatenate(ends, axis=-1))
        return Trace(tuple(hs), tuple(cs), logits)


class PlainStreams:
    """States of streams on the plain C kernels."""

    def __init__(self, frozen: FrozenModel, count: int, native: NativeModel) -> None:
        self._frozen, self._native = frozen, native
        self._states = zero_states(frozen, count)

    def step(self, x: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[np.integer[Any]]:
        """One step of features ``(I,)`` or ``(B, I)``."""
        self._native.step(self._states, self._frozen.quantize(np.atleast_2d(x)))
        layers = self._frozen.flat_layers
        # The last layer's h begins its part at the end of the state; without layers the state is the input.
        at = self._states.shape[1] - layers[-1].state_size if layers else 0
        h = self._states[:, at : at + layers[-1].hidden_size] if layers else self._states
        result = h.copy() if self._frozen.readout is None else self._native.logits(h)
        return result_of(result, x, out)

    def save(self, states: Codes) -> None:
        """Copies the states into ``(B, S)``."""
        states[...] = self._states

    def restore(self, states: Codes) -> None:
        """Takes the states from ``(B, S)``."""
        self._states[...] = states


class InterpreterEngine:
    """A frozen model in the NumPy interpreter."""

    kernel = "interpreter"
    checks_steps = False

    def __init__(self, frozen: FrozenModel) -> None:
        self._frozen = frozen

    def streams(self, count: int) -> "InterpreterStreams":
        """States of ``count`` streams, zero."""
        return InterpreterStreams(self._frozen, count)

    def run(
        self, x: NDArray[Any], lengths: ArrayLike | None, out: NDArray[Any] | None = None
    ) -> NDArray[np.integer[Any]]:
        """Same as ``FrozenModel.run`` for ``(B, T, I)``; the result is ``out`` where given."""
        return output_of(self._frozen, self._frozen.trace(x, lengths), out)

    def trace(self, x: NDArray[Any], lengths: ArrayLike | None) -> Trace:
        """Same as ``FrozenModel.trace``."""
        return self._frozen.trace(x, lengths)


class InterpreterStreams:
    """States of streams on the interpreter."""

    def __init__(self, frozen: FrozenModel, count: int) -> None:
        self._frozen = frozen
        self._state = split_states(frozen, zero_states(frozen, count))

    def step(self, x: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[np.integer[Any]]:
        """One step of features ``(I,)`` or ``(B, I)``."""
        self._state, result = self._frozen.step(self._state, np.atleast_2d(x))
        return result_of(result, x, out)

    def save(self, states: Codes) -> None:
        """Copies the states into ``(B, S)``."""
        copy_state(split_states(self._frozen, states), self._state)

    def restore(self, states: Codes) -> None:
        """Takes the states from ``(B, S)``."""
        self._state = split_states(self._frozen, states.copy())


def result_of(result: NDArray[np.integer[Any]], x: NDArray[Any], out: NDArray[Any] | None) -> NDArray[np.integer[Any]]:
    """Results ``(B, n)`` without the axis B where ``x`` had none, in ``out`` where given."""
    result = result[0] if x.ndim == 1 else result
    if out is None:
        return result
    out[...] = result
    return out


def output_of(frozen: FrozenModel, trace: Trace, out: NDArray[Any] | None) -> NDArray[np.integer[Any]]:
    """What ``FrozenModel.run`` returns of a trace, in ``out`` where given."""
    if trace.logits is None:
        return np.concatenate(trace.h[-len(frozen.layers[-1]) :], axis=-1, out=out)
    if out is None:
        return trace.logits
    out[...] = trace.logits
    return out
