"""The float form: smooth layers as ONNX's own LSTM and GRU nodes, layers with discretized gates as a Scan.

A coupled LSTM is the LSTM node with forget rows that are the negated input rows, for ``1 - sigmoid(a) = sigmoid(-a)``;
the attribute ``input_forget`` is ignored by several runtimes. So are ``sequence_lens`` and ``direction``, which these
nodes therefore do without.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitgate.export.onnx_graph import Graph
from bitgate.export.onnx_real import (
    RealLayer,
    real_alpha,
    real_gain,
    real_layer,
    real_readout,
    real_thresholds,
    state_limit,
)
from bitgate.frozen import BlockSkip, FrozenLayer, FrozenModel, Readout
from bitgate.frozen.record import TANH_GATES

_ONE = np.float32(1)
_NODE_ROWS = {"lstm": "iofg", "coupled_lstm": "iofg", "gru": "zrn"}
"""ONNX's order of the rows, in our letters."""


class FloatForm:
    """Builds the parts of a frozen model in float32; data are real numbers, hidden states parts of their range."""

    logit_type: type = np.float32
    state_type: type = np.float32

    def __init__(self, frozen: FrozenModel) -> None:
        self.frozen = frozen
        self.state_unit = 2.0 ** frozen.layers[-1][0].range_bits if frozen.layers else 1.0

    def input(self, graph: Graph, x: str) -> str:
        """Raw features ``(B, T, I)`` as parts of their range."""
        gain, limit = real_gain(self.frozen.input_map, self.frozen.state_bits)
        scaled = graph.add("Mul", graph.add("Sub", x, self.frozen.input_map.mean), gain)
        return graph.add("Clip", scaled, -limit, limit)

    def layer(self, graph: Graph, layer: FrozenLayer, x: str, name: str, output: str) -> str:
        """Hidden states ``(T, B, H)`` of one layer run forwards over ``x (T, B, I)``, called ``output``."""
        real = real_layer(layer, self.frozen.state_bits)
        return (
            _scan(graph, layer, real, x, name, output, state_limit(self.frozen.state_bits))
            if any(layer.gate_levels) or layer.cell not in _NODE_ROWS or layer.skip is not None
            else _node(graph, layer, real, x, output)
        )

    def readout(self, graph: Graph, part: Readout, h: str) -> str:
        """Real logits ``(B, classes)`` of the last hidden states."""
        weights, bias = real_readout(part, self.frozen.state_bits)
        return graph.add("Add", graph.add("MatMul", h, np.ascontiguousarray(weights.T)), bias, name="logits")


def _node(graph: Graph, layer: FrozenLayer, real: RealLayer, x: str, output: str) -> str:
    """The standard node."""
    size = layer.hidden_size

    def rows(array: NDArray[np.float32]) -> NDArray[np.float32]:
        blocks = dict(zip(layer.gates, np.split(array, len(layer.gates)), strict=True))
        if layer.cell == "coupled_lstm":
            blocks["f"] = -blocks["i"]
        return np.concatenate([blocks[letter] for letter in _NODE_ROWS[layer.cell]])

    hidden_bias = np.zeros_like(rows(real.bias))
    attributes: dict[str, Any] = {"hidden_size": size}
    if layer.cell == "gru":
        assert real.bias_hn is not None  # FrozenLayer guarantees it for a GRU
        hidden_bias[-size:] = real.bias_hn
        attributes["linear_before_reset"] = 1  # the reset gate multiplies the candidate's product, as in torch
    bias = np.concatenate([rows(real.bias), hidden_bias])
    op = "GRU" if layer.cell == "gru" else "LSTM"
    y = graph.add(op, x, rows(real.w_ih)[None], rows(real.w_hh)[None], bias[None], **attributes)
    return graph.add("Squeeze", y, np.array([1], np.int64), name=output)


def _scan(graph: Graph, layer: FrozenLayer, real: RealLayer, x: str, name: str, output: str, limit: np.float32) -> str:
    """The loop in primitive nodes."""
    projected = graph.add("Add", graph.add("MatMul", x, np.ascontiguousarray(real.w_ih.T)), real.bias)
    body = Graph(f"{name}.")
    recurrent = body.add("MatMul", f"{body.prefix}state_0", np.ascontiguousarray(real.w_hh.T))
    states = _CELLS[layer.cell](body, layer, real, recurrent)
    if layer.skip is not None:
        states = _add_skip(body, layer.skip, states, limit)
    for k, value in enumerate(states):
        body.add("Identity", value, name=f"{body.prefix}next_{k}")
    step = (projected, np.float32, len(real.w_ih))
    return graph.scan(body, (layer.hidden_size, [np.float32] * len(states)), step, output)


def _add_skip(body: Graph, skip: BlockSkip, states: list[str], limit: np.float32) -> list[str]:
    """New ``h``, ``c``, anchor and position; every unit counts the position, as all states have one shape."""
    h, c = body.add("Mul", states[0], np.float32(2.0**-skip.range_bits)), states[1]
    anchor, position = f"{body.prefix}state_2", body.add("Add", f"{body.prefix}state_3", _ONE)
    is_end = body.add("Equal", position, np.float32(skip.block_size))
    kept = body.add("Mul", anchor, real_alpha(skip))
    h = body.add("Where", is_end, body.add("Clip", body.add("Add", h, kept), -limit, limit), h)
    return [h, c, body.add("Where", is_end, h, anchor), body.add("Where", is_end, np.float32(0), position)]


def _activate(body: Graph, preact: str, gate: str, levels: int) -> str:
    if levels == 0:
        return body.add("Tanh" if gate in TANH_GATES else "Sigmoid", preact)
    wide = body.add("Unsqueeze", preact, np.array([-1], np.int64))
    reached = body.cast(body.add("GreaterOrEqual", wide, real_thresholds(levels, gate)), np.float32)
    count = body.add("ReduceSum", reached, np.array([-1], np.int64), keepdims=0)
    if gate not in TANH_GATES:
        return body.add("Div", count, np.float32(levels - 1))
    return body.add("Sub", body.add("Div", count, np.float32((levels - 1) / 2)), _ONE)


def _lstm(body: Graph, layer: FrozenLayer, _: RealLayer, recurrent: str) -> list[str]:
    """New ``h`` and ``c``."""
    preacts = body.split(body.add("Add", f"{body.prefix}step", recurrent), [layer.hidden_size] * len(layer.gates))
    items = zip(preacts, layer.gates, layer.gate_levels, strict=True)
    gate = {letter: _activate(body, preact, letter, levels) for preact, letter, levels in items}
    forget = body.add("Sub", _ONE, gate["i"]) if layer.cell == "coupled_lstm" else gate["f"]
    kept = body.add("Mul", forget, f"{body.prefix}state_1")
    c = body.add("Add", kept, body.add("Mul", gate["i"], gate["g"]))
    return [body.add("Mul", gate["o"], body.add("Tanh", c)), c]


def _gru(body: Graph, layer: FrozenLayer, real: RealLayer, recurrent: str) -> list[str]:
    """New ``h``."""
    assert real.bias_hn is not None  # FrozenLayer guarantees it for a GRU
    sizes = [layer.hidden_size] * 3
    x_r, x_z, x_n = body.split(f"{body.prefix}step", sizes)
    h_r, h_z, h_n = body.split(recurrent, sizes)
    r = _activate(body, body.add("Add", x_r, h_r), "r", layer.gate_levels[0])
    z = _activate(body, body.add("Add", x_z, h_z), "z", layer.gate_levels[1])
    hidden = body.add("Mul", r, body.add("Add", h_n, real.bias_hn))
    n = _activate(body, body.add("Add", x_n, hidden), "n", layer.gate_levels[2])
    return [_between(body, z, n)]


def _gated_rnn(body: Graph, layer: FrozenLayer, _: RealLayer, recurrent: str) -> list[str]:
    """New ``h``."""
    z, n = body.split(body.add("Add", f"{body.prefix}step", recurrent), [layer.hidden_size] * 2)
    z, n = (_activate(body, *part) for part in zip((z, n), layer.gates, layer.gate_levels, strict=True))
    return [_between(body, z, n)]


def _between(body: Graph, z: str, n: str) -> str:
    """The state between the old one and the candidate ``n``."""
    kept = body.add("Mul", z, f"{body.prefix}state_0")
    return body.add("Add", kept, body.add("Mul", body.add("Sub", _ONE, z), n))


_CELLS = {"lstm": _lstm, "coupled_lstm": _lstm, "gru": _gru, "gated_rnn": _gated_rnn}
