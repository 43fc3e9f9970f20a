"""What all recurrent modules share: parameters with torch.nn's names, and the stack of layers and directions."""

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

from bitgate.cells import CELL_GATES, CellKind, Sharing, resolve_sharing
from bitgate.errors import ArgumentError, ShapeError
from bitgate.gates import resolve_gates
from bitgate.nn.matrix import (
    STEP_SCALE,
    WeightMatrix,
    check_forget_bias,
    discrete_scale,
    draw,
    initial_log_scale,
    require_size,
)
from bitgate.nn.sequence import normalize
from bitgate.nn.skip import check_skip_scale, describe_skip, initial_skip_logit, resolve_skip
from bitgate.nn.states import StackResult, initial_block, initial_states
from bitgate.ops import LayerParameters, LoopResult, Matrix, Recurrence, recurrent
from bitgate.weights import WeightDistribution, Weights, resolve_weights


class RecurrentModule(nn.Module, ABC):
    """A stack of recurrent layers with the interface of torch.nn.RNNBase; abstract, see ``LSTM`` and ``GRU``.

    Parameters are named as torch names them. Discrete weights live in child modules of the same name
    (``lstm.weight_ih_l0.probs()``), beside one ``log_scale_l0`` a layer: a learned scale per gate. Where projections
    are shared there is ``gate_scale_l0`` instead, a factor for every unit of every gate.
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
        sharing: Sharing = "none",
        skip: str | None = None,
        block_size: int = 16,
        skip_scale: float | None = None,
        skip_per_unit: bool = False,
        forget_bias: float | None = None,
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
        levels, projections = resolve_gates(gates, CELL_GATES[cell]), resolve_sharing(sharing, cell)
        self.recurrence = Recurrence(cell, levels, projections, resolve_skip(skip, block_size))
        self.skip_scale = check_skip_scale(self.recurrence.skip, skip_scale)
        self.skip_per_unit = bool(skip_per_unit)
        self.forget_bias = check_forget_bias(forget_bias, has_bias=self.bias)
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
    def sharing(self) -> str | dict[str, int]:
        """The gate map: projection by gate, or "none"."""
        if self.recurrence.sharing is None:
            return "none"
        return dict(zip(CELL_GATES[self.recurrence.cell], self.recurrence.sharing, strict=True))

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
        rows, gate_rows = (n * self.hidden_size for n in (self.recurrence.n_projections, self.recurrence.n_gates))
        columns = self._columns(layer)
        bound = 1 / math.sqrt(self.hidden_size)
        shapes = {"weight_ih": (rows, columns), "weight_hh": (rows, self.output_size)}
        for name, (n_rows, n_columns) in shapes.items():
            setattr(self, name + suffix, self.weights.make(n_rows, n_columns, bound, **factory))
        for name in self._bias_names():
            setattr(self, name + suffix, nn.Parameter(torch.empty(gate_rows, **factory).uniform_(-bound, bound)))
        if self.proj_size:
            setattr(self, "weight_hr" + suffix, self.weights.make(self.proj_size, self.hidden_size, bound, **factory))
        for name, size in self._factor_sizes(discrete_scale(getattr(self, "weight_ih" + suffix))).items():
            setattr(self, name + suffix, nn.Parameter(torch.empty(size, **factory)))
        self._reset_factors(layer, suffix)

    def _factor_sizes(self, is_discrete: bool) -> dict[str, int]:
        """Sizes of the parameters that are neither weights nor biases."""
        sizes = {}
        if self.recurrence.sharing is not None:
            sizes["gate_scale"] = self.recurrence.n_gates * self.hidden_size
        elif is_discrete:
            sizes["log_scale"] = self.recurrence.n_gates
        if is_discrete and self.proj_size:
            sizes["log_scale_hr"] = 1
        if self.recurrence.skip is not None and self.skip_scale is None:
            sizes["skip_logit"] = self.hidden_size if self.skip_per_unit else 1
        return sizes

    @torch.no_grad()
    def _reset_factors(self, layer: int, suffix: str) -> None:
        """Sets scales, skips and the forget gate's bias to where they start."""
        fan_in = self._columns(layer) + self.output_size
        is_discrete = discrete_scale(getattr(self, "weight_ih" + suffix))
        skip = self.recurrence.skip
        starts = {
            "log_scale": initial_log_scale(fan_in),
            "log_scale_hr": initial_log_scale(self.hidden_size),
            "gate_scale": math.exp(initial_log_scale(fan_in)) if is_discrete else 1.0,
            "skip_logit": 0.0 if skip is None else initial_skip_logit(skip),
        }
        for name, start in starts.items():
            if hasattr(self, name + suffix):
                nn.init.constant_(getattr(self, name + suffix), start)
        if hasattr(self, "log_scale" + suffix):
            steps = [index for index, levels in enumerate(self.recurrence.gates) if levels == 2]
            getattr(self, "log_scale" + suffix)[steps] += math.log(STEP_SCALE)
        if self.forget_bias is not None:
            gate, sign = ("i", -1.0) if self.coupled else ("f", 1.0)
            block = CELL_GATES[self.recurrence.cell].index(gate)
            for index, name in enumerate(self._bias_names()):
                value = 0.0 if index else sign * self.forget_bias
                getattr(self, name + suffix)[block * self.hidden_size :][: self.hidden_size] = value

    def _bias_names(self) -> tuple[str, ...]:
        if not self.bias:
            return ()
        # A GRU's reset gate multiplies one bias of n alone; torch's LSTM has two for no reason but cuDNN's.
        is_torchs = self.recurrence.cell == "lstm" and self.recurrence.sharing is None
        return ("bias_ih", "bias_hh") if is_torchs or self.recurrence.cell == "gru" else ("bias",)

    def reset_parameters(self) -> None:
        """Draws all parameters anew: uniform in ``1 / sqrt(hidden_size)``, distributions in their own way."""
        bound = 1 / math.sqrt(self.hidden_size)
        for name, parameter in self.named_parameters(recurse=False):
            if name.startswith(("weight", "bias")):
                nn.init.uniform_(parameter, -bound, bound)
        for layer in range(self.num_layers):
            for suffix in self._suffixes(layer):
                self._reset_factors(layer, suffix)
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

    def alpha(self, suffix: str) -> Tensor | None:
        """Factor of the additive skip of one layer and direction, ``()`` or ``(H,)``; None without a skip."""
        if self.recurrence.skip is None:
            return None
        if self.skip_scale is not None:
            own = next(itertools.chain(self.parameters(), self.buffers()))
            return own.new_tensor(self.skip_scale)
        logit: Tensor = getattr(self, "skip_logit" + suffix)
        return logit.sigmoid() if self.skip_per_unit else logit.sigmoid().squeeze(0)

    def _layer_parameters(self, suffix: str) -> LayerParameters:
        log_scale: Tensor | None = getattr(self, "log_scale" + suffix, None)
        matrices = [getattr(self, name + suffix) for name in ("weight_ih", "weight_hh")]
        w_ih, w_hh = draw(matrices, log_scale, training=self.training)
        biases = [getattr(self, name + suffix) for name in self._bias_names()]
        w_hr: Matrix | None = None
        if self.proj_size:
            log_scale_hr: Tensor | None = getattr(self, "log_scale_hr" + suffix, None)
            (w_hr,) = draw([getattr(self, "weight_hr" + suffix)], log_scale_hr, training=self.training)
        bias_ih, bias_hh = (*biases, None, None)[:2]
        gate_scale: Tensor | None = getattr(self, "gate_scale" + suffix, None)
        return LayerParameters(w_ih, w_hh, bias_ih, bias_hh, w_hr, gate_scale, self.alpha(suffix))

    def _run(
        self,
        x: Tensor | PackedSequence,
        lengths: Tensor | None,
        initial: tuple[Tensor, ...] | None,
        anchor: Tensor | None = None,
        position: Tensor | None = None,
    ) -> StackResult:
        """The whole stack, from initial states h and c, and those of a block skip."""
        sequences = normalize(x, lengths, input_size=self.input_size, batch_first=self.batch_first)
        self._check_dtype(sequences.x)
        rows = self.num_layers * self.num_directions
        states = initial_states(sequences, initial, rows=rows, sizes=self._state_sizes())
        anchors, positions = initial_block(sequences, self.recurrence.skip, anchor, position, like=states[0])
        data = sequences.x
        results: list[LoopResult] = []
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
                    anchor=None if anchors is None else anchors[index],
                    position=None if positions is None else positions[index],
                )
                outputs.append(result.output)
                results.append(result)
            data = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
            if self.training and self.dropout > 0 and layer < self.num_layers - 1:
                data = sequences.dropout(data, self.dropout)
        return StackResult.of(sequences, data, results)

    def _check_dtype(self, x: Tensor) -> None:
        # Most layers have a parameter of their own; the walk over all of them costs as much as a small operation.
        first = next(iter(self._parameters.values()), None)
        own = (next(itertools.chain(self.parameters(), self.buffers())) if first is None else first).dtype
        if x.dtype != own and not torch.is_autocast_enabled(x.device.type):
            raise ShapeError(f"input: expected {own} like the parameters, got {x.dtype}; convert either with .to()")

    @abstractmethod
    def _state_sizes(self) -> tuple[int, ...]:
        """Sizes of the states: of h, and of c if the cell has one."""

    def extra_repr(self) -> str:
        """Arguments that differ from their defaults, as torch.nn.LSTM shows them."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        defaults: dict[str, Any] = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0}
        defaults |= {"bidirectional": False, "coupled": False, "gates": {}, "sharing": "none", "skip_scale": None}
        defaults |= {"skip_per_unit": False, "forget_bias": None}
        parts += [f"{name}={getattr(self, name)}" for name, value in defaults.items() if getattr(self, name) != value]
        if self.recurrence.skip is not None:
            parts.append(f"skip={describe_skip(self.recurrence.skip)}")
        if self.weights != resolve_weights("continuous"):
            parts.append(f"weights={self.weights}")
        return ", ".join(parts)
