"""The frozen model: an immutable value in NumPy integers, with no torch in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitgate.errors import ArgumentError, ShapeError
from bitgate.frozen import bounds, cost, file, interpreter
from bitgate.frozen.interpreter import Codes, Int32, LayerState
from bitgate.frozen.record import FrozenLayer, InputMap, Readout, require

STATE_BITS = range(8, 17)

State = tuple[LayerState, ...]


class Trace(NamedTuple):
    """Everything a run computes: one entry per layer and direction, in the order of ``FrozenModel.flat_layers``."""

    h: tuple[Codes, ...]  # each (B, T, H)
    c: tuple[Codes, ...]  # each (B, T, H)
    logits: Int32 | None  # (B, classes), at every sequence's true end


@dataclass(frozen=True, eq=False)
class FrozenModel:
    """A trained model as integer codes, scales and tables; the oracle of every exported program.

    Made by ``bitgate.freeze`` or ``bitgate.load``. ``layers`` holds for each layer its forward direction and, if
    bidirectional, its reverse one. The arithmetic is that of docs/arithmetic.md.
    """

    state_bits: int
    input_map: InputMap
    layers: tuple[tuple[FrozenLayer, ...], ...]
    readout: Readout | None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))
        require(self.state_bits in STATE_BITS, f"state_bits: {self.state_bits}, expected 8 to 16")
        require(bool(self.layers) or self.readout is not None, "a model needs a layer or a readout")
        size = self.input_size
        require(size > 0, "a model needs at least one input")
        for index, directions in enumerate(self.layers):
            require(
                [layer.reverse for layer in directions] in ([False], [False, True]),
                f"layer {index}: expected a forward direction, then at most one reverse direction",
            )
            for layer in directions:
                require(
                    layer.input_size == size,
                    f"layer {index}: takes {layer.input_size} inputs, but {size} reach it",
                )
                bounds.check_layer(layer, self.state_bits)
            require(
                len({layer.range_bits for layer in directions}) == 1,
                f"layer {index}: its directions have hidden states of different ranges",
            )
            size = sum(layer.hidden_size for layer in directions)
        if self.readout is not None:
            columns = self.readout.weight.columns
            require(columns == size, f"readout: takes {columns} inputs, but {size} reach it")
            bounds.check_readout(self.readout, self.state_bits)
        names = self.metadata.get("class_names") or self.class_names
        require(
            isinstance(names, list | tuple)
            and len(names) == self.output_size
            and all(isinstance(text, str) for text in names),
            f"class_names: expected {self.output_size} texts, got {names!r}",
        )

    @property
    def input_size(self) -> int:
        """Number of features, I."""
        return len(self.input_map.mean)

    @property
    def output_size(self) -> int:
        """Number of classes, or of hidden units where there is no readout."""
        if self.readout is not None:
            return self.readout.weight.rows
        return sum(layer.hidden_size for layer in self.layers[-1])

    @property
    def output_scale(self) -> float:
        """Real value of one unit of the output: of a logit, or of a hidden state without readout."""
        if self.readout is not None:
            return self.readout.scale
        return 2.0 ** (self.layers[-1][0].range_bits + 1 - self.state_bits)

    @property
    def flat_layers(self) -> tuple[FrozenLayer, ...]:
        """All layers and directions in the order of computation."""
        return tuple(layer for directions in self.layers for layer in directions)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; their numbers where none were given."""
        names = self.metadata.get("class_names") or [str(k) for k in range(self.output_size)]
        return tuple(names)

    def with_packing(self, *, dense: bool) -> "FrozenModel":
        """The same integers in other bytes: ternary weights five to a byte if ``dense``, else two bits for each.

        Dense weights save a fifth of the file, and of the flash of the plain C kernels, which read them slower. The
        fast kernels have an order of their own and come out the same.
        """

        def repack(layer: FrozenLayer) -> FrozenLayer:
            w_ih, w_hh = (matrix.with_packing(dense=dense) for matrix in (layer.w_ih, layer.w_hh))
            return replace(layer, w_ih=w_ih, w_hh=w_hh)

        layers = tuple(tuple(map(repack, directions)) for directions in self.layers)
        readout = self.readout
        if readout is not None:
            readout = replace(readout, weight=readout.weight.with_packing(dense=dense))
        return replace(self, layers=layers, readout=readout)

    def quantize(self, x: ArrayLike) -> Codes:
        """Raw features ``(..., I)`` to input codes, int16.

        Raises:
            ShapeError: the last axis is not ``input_size`` long, or a value is not finite.
        """
        array = np.asarray(x, dtype=np.float32)
        if array.ndim == 0 or array.shape[-1] != self.input_size:
            raise ShapeError(f"x: expected {self.input_size} features on the last axis, got shape {array.shape}")
        if not np.isfinite(array).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise ShapeError(f"x: value at {where} is {array[where]}, expected finite numbers")
        return interpreter.quantize_input(self.input_map, array, self.state_bits)

    def quantize_sequences(self, x: ArrayLike, lengths: ArrayLike | None) -> tuple[Codes, NDArray[np.int64]]:
        """Input codes of sequences ``(B, T, I)`` and the steps of each ``(B,)``, checked. Errors as in ``run``."""
        codes = self.quantize(x)
        if codes.ndim != 3 or 0 in codes.shape:
            raise ShapeError(f"x: expected (B, T, I) with at least one sequence and step, got {codes.shape}")
        return codes, self._check_lengths(lengths, codes.shape[0], codes.shape[1])

    def run(self, x: ArrayLike, lengths: ArrayLike | None = None) -> NDArray[np.integer[Any]]:
        """Runs whole sequences of raw features from the zero state.

        Args:
            x: ``(B, T, I)``, or ``(T, I)`` for one sequence.
            lengths: ``(B,)`` steps of each sequence, 1 to T; all T where None. What lies behind an end is ignored.

        Returns:
            Integer logits ``(B, classes)`` int32 at every sequence's end; without a readout the hidden codes
            ``(B, T, H)`` int16 of the last layer, zero behind an end. ``output_scale`` makes them real. Without
            the axis B if ``x`` had none.

        Raises:
            ShapeError: a wrong shape, length or a value that is not finite.
        """
        array = np.asarray(x)
        if array.ndim == 2:
            return self.run(array[None], lengths)[0]
        trace = self.trace(array, lengths)
        if trace.logits is not None:
            return trace.logits
        return np.concatenate(trace.h[-len(self.layers[-1]) :], axis=-1)

    def predict(self, x: ArrayLike, lengths: ArrayLike | None = None) -> NDArray[np.int64]:
        """Class of each sequence ``(B,)``: the first largest logit. Arguments and errors as in ``run``."""
        if self.readout is None:
            raise ArgumentError("predict: this model has no readout, so it has no classes; use run")
        return np.argmax(self.run(x, lengths), axis=-1)

    def trace(self, x: ArrayLike, lengths: ArrayLike | None = None) -> Trace:
        """Runs whole sequences ``(B, T, I)`` and keeps every state of every step. Errors as in ``run``."""
        codes, steps = self.quantize_sequences(x, lengths)
        hs: list[Codes] = []
        cs: list[Codes] = []
        ends = [codes[np.arange(len(codes)), steps - 1]]
        for directions in self.layers:
            runs = [_run_layer(layer, codes, steps, self.state_bits) for layer in directions]
            hs += [h for h, _, _ in runs]
            cs += [c for _, c, _ in runs]
            ends = [last for _, _, last in runs]
            codes = np.concatenate([h for h, _, _ in runs], axis=-1)
        logits = None
        if self.readout is not None:
            logits = interpreter.readout_logits(self.readout, np.concatenate(ends, axis=-1))
        return Trace(tuple(hs), tuple(cs), logits)

    def init_state(self, batch_size: int = 1) -> State:
        """Zero state of ``batch_size`` independent streams."""
        self.require_causal("init_state")
        return tuple(LayerState.zero(layer, batch_size) for layer in self.flat_layers)

    def step(self, state: State, x: ArrayLike) -> tuple[State, NDArray[np.integer[Any]]]:
        """One step of raw features ``(B, I)``: the new state and the output after it.

        The given state is not changed. Running step by step equals ``run`` on the whole sequence.

        Raises:
            ArgumentError: the model is bidirectional, so its output waits for the end of the sequence.
            ShapeError: ``x`` does not fit the state or the model.
        """
        self.require_causal("step")
        codes = self.quantize(x)
        if codes.ndim != 2 or any(len(part.h) != len(codes) for part in state):
            raise ShapeError(f"x: expected ({len(state[0].h) if state else 'B'}, {self.input_size}), got {codes.shape}")
        new = []
        for layer, old in zip(self.flat_layers, state, strict=True):
            projected = interpreter.project_input(layer, codes)
            new.append(interpreter.layer_step(layer, projected, old, self.state_bits))
            codes = new[-1].h
        output = codes if self.readout is None else interpreter.readout_logits(self.readout, codes)
        return tuple(new), output

    def with_metadata(self, **entries: Any) -> "FrozenModel":
        """A copy with further entries in its metadata (JSON values)."""
        return replace(self, metadata={**self.metadata, **entries})

    def cost(self) -> "cost.Cost":
        """Bits, bytes, memory and operations per step."""
        return cost.count(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the model file (docs/format.md); nothing half-written remains if it fails."""
        file.write(self, path)

    def require_causal(self, what: str) -> None:
        """Raises ``ArgumentError``, naming ``what`` was asked for, if the model is bidirectional."""
        if any(layer.reverse for layer in self.flat_layers):
            raise ArgumentError(f"{what}: a bidirectional model needs whole sequences; use run")

    def _check_lengths(self, lengths: ArrayLike | None, batch: int, steps: int) -> NDArray[np.int64]:
        if lengths is None:
            return np.full(batch, steps, dtype=np.int64)
        array = np.asarray(lengths)
        if array.shape != (batch,) or array.dtype.kind not in "iu":
            raise ShapeError(f"lengths: expected {batch} integers, got {array.dtype} of shape {array.shape}")
        if array.min() < 1 or array.max() > steps:
            raise ShapeError(f"lengths: found {array.min()} to {array.max()}, expected 1 to {steps}")
        return array.astype(np.int64)


def load(path: str | PathLike[str]) -> FrozenModel:
    """Reads a model file written by ``FrozenModel.save``.

    Raises:
        FormatError: the file is damaged, truncated, of another kind or of an unknown version.
        FileNotFoundError: there is no such file.
    """
    return file.read(path, FrozenModel)


def _run_layer(layer: FrozenLayer, x: Codes, lengths: NDArray[np.int64], state_bits: int) -> tuple[Codes, Codes, Codes]:
    """``h`` and ``c`` of every step ``(B, T, H)``, zero behind the ends, and the last ``h`` ``(B, H)``."""
    batch, steps, _ = x.shape
    h_all = np.zeros((batch, steps, layer.hidden_size), dtype=np.int16)
    c_all = np.zeros_like(h_all)
    state = LayerState.zero(layer, batch)
    for t in reversed(range(steps)) if layer.reverse else range(steps):
        projected = interpreter.project_input(layer, x[:, t])
        alive = t < lengths
        state = interpreter.layer_step(layer, projected, state, state_bits).where(alive, state)
        h_all[:, t] = np.where(alive[:, None], state.h, 0)
        c_all[:, t] = np.where(alive[:, None], state.c, 0)
    return h_all, c_all, state.h
