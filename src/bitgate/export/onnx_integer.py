"""The integer form: docs/arithmetic.md in ONNX nodes, with the interpreter's integers.

ONNX has no arithmetic shift of signed numbers. ``v >> s`` is ``(v - v mod 2**s) / 2**s``: ``Mod`` takes the sign of the
divisor, so the difference is the multiple of ``2**s`` at or below ``v`` and the division has no remainder to round.
No intermediate leaves its type even at the ends of the range.
"""

from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from bitgate.export.onnx_graph import Graph, Value, element_type
from bitgate.frozen import BlockSkip, FrozenLayer, FrozenModel, InputMap, PackedMatrix, Readout, tables
from bitgate.frozen.bounds import code_limit
from bitgate.frozen.record import TANH_GATES

_ONE = np.int32(tables.ONE_Q15)
_RANGE = tables.SIGMOID_RANGE * tables.ONE_Q15
_SIGMOID, _TANH = "sigmoid", "tanh"


def quantize(graph: Graph, input_map: InputMap, x: str, state_bits: int) -> str:
    """Raw features to input codes."""
    shifted = graph.add("Sub", x, input_map.mean)
    rounded = graph.add("Floor", graph.add("Add", graph.add("Mul", shifted, input_map.gain), np.float32(0.5)))
    finite = graph.add("Where", graph.add("IsNaN", rounded), np.float32(0), rounded)
    limit = np.float32(code_limit(state_bits))
    return graph.cast(graph.add("Clip", finite, -limit, limit), np.float64)


class IntegerForm:
    """Builds the parts of a frozen model in integers.

    Between layers, and in the loop, codes are in float64, in which sums of these integers are exact in any order. They
    are cast where they are made: a Cast of a loop's own input before a MatMul crashes onnxruntime 1.32.
    """

    logit_type: type = np.int32
    state_type: type = np.int16
    state_unit = 1.0

    def __init__(self, frozen: FrozenModel) -> None:
        self.frozen = frozen
        self._has_tables = False

    def input(self, graph: Graph, x: str) -> str:
        """Codes ``(B, T, I)`` of the raw features."""
        return quantize(graph, self.frozen.input_map, x, self.frozen.state_bits)

    def layer(self, graph: Graph, layer: FrozenLayer, x: str, name: str, output: str) -> str:
        """Hidden codes ``(T, B, H)`` of one layer run forwards over ``x (T, B, I)``, called ``output``."""
        if not self._has_tables:
            tabulate_smooth(graph)
            self._has_tables = True
        projected = _products(graph, layer, layer.w_ih, layer.mult_ih, x)
        body = Graph(f"{name}.")
        states = _CELLS[layer.cell](body, layer, self.frozen.state_bits - layer.range_bits)
        if layer.skip is not None:
            states = _add_skip(body, layer.skip, states, self.frozen.state_bits)
        body.add("Cast", states[0], to=element_type(np.float64), name=f"{body.prefix}next_0")
        for k, value in enumerate(states[1:], 1):
            body.add("Identity", value, name=f"{body.prefix}next_{k}")
        step = (projected, _product_type(layer), layer.bias.size)
        kinds = [np.float64, *([np.int32] * (len(states) - 1))]
        return graph.scan(body, (layer.hidden_size, kinds), step, output)

    def readout(self, graph: Graph, part: Readout, h: str) -> str:
        """Integer logits ``(B, classes)`` of the last hidden codes."""
        scaled = graph.add("Mul", _accumulate(graph, part.weight, h, np.int32), part.mult)
        return graph.add("Add", scaled, part.bias, name="logits")


def _product_type(layer: FrozenLayer) -> type:
    return np.int32 if layer.product_bits == 32 else np.int64


def _accumulate(graph: Graph, matrix: PackedMatrix, x: str, dtype: type) -> str:
    """``x @ W.T`` as integers. Weights are stored in int8; runtimes cast them when they load the model."""
    weights = graph.cast(np.ascontiguousarray(matrix.values.T), np.float64)
    return graph.cast(graph.add("MatMul", x, weights), dtype)


def _products(graph: Graph, layer: FrozenLayer, matrix: PackedMatrix, mult: NDArray[np.int32], x: str) -> str:
    """``M * acc`` of every row of the gates, in the type of the layer's products; shared sums are made once."""
    wide = _product_type(layer)
    sums = _accumulate(graph, matrix, x, wide)
    if layer.is_shared:
        sums = graph.add("Gather", sums, layer.weight_rows, axis=-1)
    return graph.add("Mul", sums, layer.by_row(mult).astype(wide))


def floor_shift(graph: Graph, value: str, shift: NDArray[np.integer] | int, dtype: type = np.int32) -> str:
    """``value >> shift``; ``shift`` may differ by column."""
    divisor: Value = np.left_shift(np.asarray(1, dtype), np.asarray(shift, dtype))
    multiple = graph.add("Sub", value, graph.add("Mod", value, divisor))
    return graph.add("Div", multiple, divisor)


def round_shift(graph: Graph, value: str, shift: NDArray[np.integer] | int, dtype: type = np.int32) -> str:
    """``value / 2**shift`` to the nearest integer, halves up."""
    half = np.left_shift(np.asarray(1, dtype), np.asarray(shift, dtype)) >> 1
    return floor_shift(graph, graph.add("Add", value, half.astype(dtype)), shift, dtype)


def tabulate_smooth(graph: Graph) -> None:
    """Makes ``_SIGMOID`` and ``_TANH``: ``S(u)`` and ``2 S(u) - 32768`` for every u in the range, before the loops.

    Runtimes fold them into constants when they load the model: half a million look-ups once, instead of the
    interpolation's nine nodes in every step, and nothing of it in the file.
    """
    table = tables.sigmoid_table()
    # At the end of the range the difference is 0 and the value 32768, as the formula has it.
    differences = np.append(np.diff(table), 0).astype(np.int32)
    step = np.int32(1 << tables.SIGMOID_FRACTION_BITS)
    u = graph.add("Range", np.int32(-_RANGE), np.int32(_RANGE + 1), np.int32(1))
    magnitude = graph.add("Abs", u)
    index = graph.add("Div", magnitude, step)
    fraction = graph.add("Sub", magnitude, graph.add("Mul", index, step))
    rise = graph.add("Mul", graph.add("Gather", differences, index), fraction)
    # Nothing is negative here, so truncation is the shift.
    rounded = graph.add("Div", graph.add("Add", rise, np.int32(step // 2)), step)
    value = graph.add("Add", graph.add("Gather", table, index), rounded)
    is_negative = graph.add("Less", u, np.int32(0))
    graph.add("Where", is_negative, graph.add("Sub", _ONE, value), value, name=_SIGMOID)
    graph.add("Sub", graph.add("Mul", _SIGMOID, np.int32(2)), _ONE, name=_TANH)


def smooth(graph: Graph, u: str, table: str) -> str:
    """``S(u)`` from ``_SIGMOID``, or ``2 S(u) - 32768`` from ``_TANH``."""
    return graph.add("Gather", table, graph.add("Add", _saturate(graph, u, _RANGE), np.int32(_RANGE)))


def staircase(graph: Graph, u: str, levels: int) -> str:
    """Gate value of ``levels`` levels."""
    values = tables.gate_values(levels)
    thresholds = tables.gate_thresholds(levels)
    if levels == 2:
        return graph.add("Where", graph.add("Less", u, thresholds[0]), values[0], values[1])
    wide = graph.add("Unsqueeze", u, np.array([-1], np.int64))
    reached = graph.cast(graph.add("GreaterOrEqual", wide, thresholds), np.int32)
    count = graph.add("ReduceSum", reached, np.array([-1], np.int64), keepdims=0)
    return graph.add("Gather", values, count)


def gates(graph: Graph, u: str, letters: str, levels: tuple[int, ...], size: int) -> dict[str, str]:
    """Values of neighbouring gates from their pre-activations; those of equal level count are computed together."""
    runs = [list(run) for _, run in groupby(range(len(letters)), key=lambda k: levels[k])]
    found: dict[str, str] = {}
    for run, part in zip(runs, graph.split(u, [len(run) * size for run in runs]), strict=True):
        count = levels[run[0]]
        value = staircase(graph, part, count) if count else smooth(graph, part, _SIGMOID)
        found |= zip((letters[k] for k in run), graph.split(value, [size] * len(run)), strict=True)
    for letter in TANH_GATES & set(found):
        found[letter] = graph.add("Sub", graph.add("Mul", found[letter], np.int32(2)), _ONE)
    return found


def _saturate(graph: Graph, value: str, limit: int) -> str:
    return graph.add("Clip", value, np.int32(-limit), np.int32(limit))


def _recurrent(body: Graph, layer: FrozenLayer) -> str:
    """``M_hh * acc_h`` of the hidden codes, ``(B, gates * H)``."""
    return _products(body, layer, layer.w_hh, layer.mult_hh, f"{body.prefix}state_0")


def _preact(body: Graph, layer: FrozenLayer, products: str, first: int, count: int) -> str:
    """Shifted products of ``count`` gates from ``first``, int32, without bias."""
    wide = _product_type(layer)
    shift = np.repeat(layer.shift[first : first + count], layer.hidden_size)
    shifted = round_shift(body, products, shift, wide)
    return shifted if wide is np.int32 else body.cast(shifted, np.int32)


def _add_skip(body: Graph, skip: BlockSkip, states: list[str], bits: int) -> list[str]:
    """New ``h``, ``c``, anchor and position; every unit counts the position, as all states have one shape."""
    h, c = states
    anchor, position = f"{body.prefix}state_2", body.add("Add", f"{body.prefix}state_3", np.int32(1))
    is_end = body.add("Equal", position, np.int32(skip.block_size))
    kept = round_shift(body, body.add("Mul", anchor, skip.alpha), 15)
    h = body.add("Where", is_end, _saturate(body, body.add("Add", h, kept), code_limit(bits)), h)
    return [h, c, body.add("Where", is_end, h, anchor), body.add("Where", is_end, np.int32(0), position)]


def _lstm(body: Graph, layer: FrozenLayer, bits: int) -> list[str]:
    """New ``h`` and ``c`` of the LSTM or the coupled LSTM."""
    products = body.add("Add", f"{body.prefix}step", _recurrent(body, layer))
    u = body.add("Add", _preact(body, layer, products, 0, len(layer.gates)), layer.bias)
    gate = gates(body, u, layer.gates, layer.gate_levels, layer.hidden_size)
    c, new = f"{body.prefix}state_1", body.add("Mul", gate["i"], gate["g"])
    if layer.cell == "coupled_lstm":
        kept = body.add("Mul", body.add("Sub", _ONE, gate["i"]), c)
    else:
        kept, new = body.add("Mul", gate["f"], c), floor_shift(body, new, 4)
    c = _saturate(body, round_shift(body, body.add("Add", kept, new), 15), tables.INT16_LIMIT)
    doubled = body.add("Mul", c, np.int32(1 << (16 - tables.CELL_FRACTION_BITS[layer.cell])))
    shown = body.add("Mul", gate["o"], smooth(body, doubled, _TANH))
    return [_saturate(body, round_shift(body, shown, 31 - bits), code_limit(bits)), c]


def _gru(body: Graph, layer: FrozenLayer, bits: int) -> list[str]:
    """New ``h`` and ``c`` of the GRU; ``c`` is the hidden state in Q15."""
    assert layer.bias_hn is not None  # FrozenLayer guarantees it for a GRU
    size = layer.hidden_size
    from_input = body.split(f"{body.prefix}step", [2 * size, size])
    from_state = body.split(_recurrent(body, layer), [2 * size, size])
    products = body.add("Add", from_input[0], from_state[0])
    u = body.add("Add", _preact(body, layer, products, 0, 2), layer.bias[: 2 * size])
    gate = gates(body, u, "rz", layer.gate_levels[:2], size)
    p_x = body.add("Add", _preact(body, layer, from_input[1], 2, 1), layer.bias[2 * size :])
    p_h = body.add("Add", _preact(body, layer, from_state[1], 2, 1), layer.bias_hn)
    product = body.add("Mul", body.cast(gate["r"], np.int64), body.cast(p_h, np.int64))
    u_n = body.add("Add", p_x, body.cast(round_shift(body, product, 15, np.int64), np.int32))
    n = gates(body, u_n, "n", layer.gate_levels[2:], size)["n"]
    return _between(body, gate["z"], n, bits)


def _gated_rnn(body: Graph, layer: FrozenLayer, bits: int) -> list[str]:
    """New ``h`` and ``c`` of the gated RNN; ``c`` is the hidden state in Q15."""
    products = body.add("Add", f"{body.prefix}step", _recurrent(body, layer))
    u = body.add("Add", _preact(body, layer, products, 0, 2), layer.bias)
    gate = gates(body, u, layer.gates, layer.gate_levels, layer.hidden_size)
    return _between(body, gate["z"], gate["n"], bits)


def _between(body: Graph, z: str, n: str, bits: int) -> list[str]:
    """New ``h`` and ``c`` between the old state and the candidate ``n``."""
    kept = body.add("Mul", z, f"{body.prefix}state_1")
    new = body.add("Mul", body.add("Sub", _ONE, z), n)
    c = _saturate(body, round_shift(body, body.add("Add", kept, new), 15), tables.INT16_LIMIT)
    h = c if bits == 16 else _saturate(body, round_shift(body, c, 16 - bits), code_limit(bits))
    return [h, c]


_CELLS = {"lstm": _lstm, "coupled_lstm": _lstm, "gru": _gru, "gated_rnn": _gated_rnn}
