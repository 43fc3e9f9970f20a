"""What LSTM and GRU share: parameters with torch.nn's names, and the stack of layers and directions."""

import itertools
import math
import numbers
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from bitgate.cells import CELL_GATES, CellKind
from bitgate.errors import ArgumentError, ShapeError
from bitgate.gates import resolve_gates
from bitgate.nn.matrix import WeightMatrix, discrete_scale, draw, initial_log_scale, require_size
from bitgate.nn.sequence import Sequences, normalize
from bitgate.ops import LayerParameters, Recurrence, recurrent
from bitgate.weights import WeightDistribution, Weights, resolve_weights


class RecurrentModule(nn.Module, ABC):
    """A stack of recurrent layers with the interface of torch.nn.RNNBase; abstract, see ``LSTM`` and ``GRU``.

    Parameters are named as torch names them. Discrete weights live in child modules of the same name
    (``lstm.weight_ih_l0.probs()``), beside one ``log_scale_l0`` a layer: a learned scale per gate.
    """

    def __init__(
        self,
        cell: CellKind,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        proj_size: int,
        device: Any,
        dtype: Any,
        *,
        weights: str | Weights,
        gates: Mapping[str, int] | None,
    ) -> None:
        super().__init__()
        self.input_size = require_size("input_size", input_size)
        self.hidden_size = require_size("hidden_size", hidden_size)
        self.num_layers = require_size("num_layers", num_layers)
        self.proj_size = require_size("proj_size", proj_size, minimum=0)
        if self.proj_size >= self.hidden_size:
            raise ArgumentError(f"proj_size: {proj_size}, expected less than hidden_size={hidden_size} (0 for none)")
        if isinstance(dropout, bool) or not isinstance(dropout, numbers.Number) or not 0 <= float(dropout) <= 1:
            raise ArgumentError(f"dropout: {dropout!r}, expected a probability from 0 to 1")
        if dropout > 0 and num_layers == 1:
            warnings.warn("dropout acts after every layer but the last, so it does nothing in one layer", stacklevel=3)
        self.bias = bool(bias)
        self.batch_first = bool(batch_first)
        self.dropout = float(dropout)
        self.bidirectional = bool(bidirectional)
        self.weights = resolve_weights(weights)
        self.recurrence = Recurrence(cell, resolve_gates(gates, CELL_GATES[cell]))
        for layer in range(num_layers):
            for suffix in self._suffixes(layer):
                self._add_layer(layer, suffix, {"device": device, "dtype": dtype})

    @property
    def coupled(self) -> bool:
        """Whether the forget gate is one minus the input gate."""
        return self.recurrence.cell == "coupled_lstm"

    @property
    def gates(self) -> dict[str, int]:
        """Level counts of the discretized gates."""
        letters = CELL_GATES[self.recurrence.cell]
        return {k: n for k, n in zip(letters, self.recurrence.gates, strict=True) if n}

    @property
    def num_directions(self) -> int:
        """2 if bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """Size of one direction's hidden state: ``proj_size`` or ``hidden_size``."""
        return self.proj_size or self.hidden_size

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}{direction}" for direction in ("", "_reverse")[: self.num_directions]]

    def _columns(self, layer: int) -> int:
        """Features that reach a layer."""
        return self.input_size if layer == 0 else self.output_size * self.num_directions

    def _add_layer(self, layer: int, suffix: str, factory: dict[str, Any]) -> None:
        rows = self.recurrence.n_gates * self.hidden_size
        columns = self._columns(layer)
        bound = 1 / math.sqrt(self.hidden_size)
        shapes = {"weight_ih": (rows, columns), "weight_hh": (rows, self.output_size)}
        for name, (n_rows, n_columns) in shapes.items():
            setattr(self, name + suffix, self.weights.make(n_rows, n_columns, bound, **factory))
        for name in self._bias_names():
            setattr(self, name + suffix, nn.Parameter(torch.empty(rows, **factory).uniform_(-bound, bound)))
        if self.proj_size:
            setattr(self, "weight_hr" + suffix, self.weights.make(self.proj_size, self.hidden_size, bound, **factory))
        if discrete_scale(getattr(self, "weight_ih" + suffix)):
            setattr(self, "log_scale" + suffix, nn.Parameter(torch.empty(self.recurrence.n_gates, **factory)))
            if self.proj_size:
                setattr(self, "log_scale_hr" + suffix, nn.Parameter(torch.empty(1, **factory)))
            self._reset_scales(layer, suffix)

    def _reset_scales(self, layer: int, suffix: str) -> None:
        fan_ins = {"log_scale": self._columns(layer) + self.output_size, "log_scale_hr": self.hidden_size}
        for name, fan_in in fan_ins.items():
            if hasattr(self, name + suffix):
                nn.init.constant_(getattr(self, name + suffix), initial_log_scale(fan_in))

    def _bias_names(self) -> tuple[str, ...]:
        if not self.bias:
            return ()
        return ("bias",) if self.coupled else ("bias_ih", "bias_hh")

    def reset_parameters(self) -> None:
        """Draws all parameters anew: uniform in ``1 / sqrt(hidden_size)``, distributions in their own way."""
        bound = 1 / math.sqrt(self.hidden_size)
        for name, parameter in self.named_parameters(recurse=False):
            if not name.startswith("log_scale"):
                nn.init.uniform_(parameter, -bound, bound)
        for layer in range(self.num_layers):
            for suffix in self._suffixes(layer):
                self._reset_scales(layer, suffix)
        for child in self.children():
            if isinstance(child, WeightDistribution):
                child.reset_parameters()

    def flatten_parameters(self) -> None:
        """Nothing to do; kept because code written for torch.nn.LSTM calls it."""

    @property
    def all_weights(self) -> list[list[WeightMatrix]]:
        """Weights and biases of every layer and direction, in torch's order."""
        names = ["weight_ih", "weight_hh", *self._bias_names()] + ["weight_hr"] * bool(self.proj_size)
        suffixes = [s for layer in range(self.num_layers) for s in self._suffixes(layer)]
        return [[getattr(self, name + suffix) for name in names] for suffix in suffixes]

    def scale(self, suffix: str) -> Tensor | None:
        """Learned scales ``(gates,)`` of one layer and direction, None for continuous weights."""
        log_scale: Tensor | None = getattr(self, "log_scale" + suffix, None)
        return None if log_scale is None else log_scale.exp()

    def _layer_parameters(self, suffix: str) -> LayerParameters:
        scale = self.scale(suffix)
        rows = None if scale is None else scale.repeat_interleave(self.hidden_size).unsqueeze(1)
        w_ih = draw(getattr(self, "weight_ih" + suffix), rows, training=self.training)
        w_hh = draw(getattr(self, "weight_hh" + suffix), rows, training=self.training)
        biases = [getattr(self, name + suffix) for name in self._bias_names()]
        w_hr = None
        if self.proj_size:
            log_scale = getattr(self, "log_scale_hr" + suffix, None)
            w_hr = draw(
                getattr(self, "weight_hr" + suffix),
                None if log_scale is None else log_scale.exp(),
                training=self.training,
            )
        bias_ih, bias_hh = (*biases, None, None)[:2]
        return LayerParameters(w_ih, w_hh, bias_ih, bias_hh, w_hr)

    def _run(
        self, x: Tensor | PackedSequence, lengths: Tensor | None, initial: tuple[Tensor, ...] | None
    ) -> tuple[Tensor | PackedSequence, Tensor, Tensor | None]:
        """The whole stack: output in the form of the input, last ``h`` and ``c``."""
        sequences = normalize(x, lengths, input_size=self.input_size, batch_first=self.batch_first)
        self._check_dtype(sequences.x)
        states = self._initial_states(sequences, initial)
        data = sequences.x
        hs: list[Tensor] = []
        cs: list[Tensor] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                index = layer * self.num_directions + direction
                result = recurrent(
                    self.recurrence,
                    data,
                    states[0][index],
                    states[1][index] if len(states) == 2 else None,
                    self._layer_parameters(suffix),
                    lengths=sequences.lengths,
                    reverse=direction == 1,
                )
                outputs.append(result.output)
                hs.append(result.h)
                cs += [] if result.c is None else [result.c]
            data = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
            if self.training and self.dropout > 0 and layer < self.num_layers - 1:
                data = sequences.dropout(data, self.dropout)
        last_c = sequences.unsort(torch.stack(cs)) if cs else None
        return sequences.restore(data), sequences.unsort(torch.stack(hs)), last_c

    def _check_dtype(self, x: Tensor) -> None:
        own = next(itertools.chain(self.parameters(), self.buffers())).dtype
        if x.dtype != own and not torch.is_autocast_enabled(x.device.type):
            raise ShapeError(f"input: expected {own} like the parameters, got {x.dtype}; convert either with .to()")

    def _initial_states(self, sequences: Sequences, initial: tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
        batch = sequences.x.shape[1]
        rows = self.num_layers * self.num_directions
        shapes = [(rows, batch, size) for size in self._state_sizes()]
        if initial is None:
            return tuple(sequences.x.new_zeros(shape) for shape in shapes)
        states = []
        for name, state, shape in zip(("h_0", "c_0"), initial, shapes, strict=False):
            expected = shape if sequences.batched else (shape[0], shape[2])
            if not isinstance(state, Tensor) or tuple(state.shape) != expected:
                found = tuple(state.shape) if isinstance(state, Tensor) else type(state).__name__
                raise ShapeError(f"{name}: expected shape {expected} (layers * directions first), got {found}")
            states.append(sequences.sort(state if sequences.batched else state.unsqueeze(1)))
        return tuple(states)

    @abstractmethod
    def _state_sizes(self) -> tuple[int, ...]:
        """Sizes of the states: of h, and of c if the cell has one."""

    def extra_repr(self) -> str:
        """Arguments that differ from their defaults, as torch.nn.LSTM shows them."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        defaults: dict[str, Any] = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0}
        defaults |= {"bidirectional": False, "coupled": False, "gates": {}}
        parts += [f"{name}={getattr(self, name)}" for name, value in defaults.items() if getattr(self, name) != value]
        if self.weights != resolve_weights("continuous"):
            parts.append(f"weights={self.weights}")
        return ", ".join(parts)
