"""A frozen model as an ONNX model, in either form: input map, layers, directions, ends, readout."""

import json
from typing import Protocol

import numpy as np
import onnx

from bitgate import __version__
from bitgate.errors import UnsupportedError
from bitgate.export.onnx_float import FloatForm
from bitgate.export.onnx_graph import Graph, make_model, tensor
from bitgate.export.onnx_integer import IntegerForm
from bitgate.export.onnx_sample import layer_names
from bitgate.frozen import FrozenLayer, FrozenModel, Readout
from bitgate.frozen.record import CELLS


class Form(Protocol):
    """How the parts of a model are expressed."""

    logit_type: type
    state_type: type  # of the hidden states that a model without readout gives
    state_unit: float  # what those are multiplied by

    def input(self, graph: Graph, x: str) -> str:
        """Raw features ``(B, T, I)`` to what layers take."""

    def layer(self, graph: Graph, layer: FrozenLayer, x: str, name: str, output: str) -> str:
        """Hidden states ``(T, B, H)``, called ``output``; ``name`` is for what lies inside."""

    def readout(self, graph: Graph, part: Readout, h: str) -> str:
        """Logits ``(B, classes)``, called ``logits``."""


def build_model(frozen: FrozenModel, form_name: str) -> onnx.ModelProto:
    """The ONNX model of ``frozen`` in the form "integer" or "float".

    Inputs: ``x (batch, time, features)`` float32, raw; ``lengths (batch,)`` int64. Outputs: ``logits (batch, classes)``
    and ``class (batch,)`` int64; without readout ``hidden (batch, time, H)``, zero behind the ends.

    Raises:
        UnsupportedError: a cell that neither form expresses.
    """
    for layer in frozen.flat_layers:
        if layer.cell not in CELLS:
            raise UnsupportedError(f"export to ONNX: cell {layer.cell!r}, expected one of {sorted(CELLS)}")
    form: Form = IntegerForm(frozen) if form_name == "integer" else FloatForm(frozen)
    graph = Graph()
    data, ends = _layers(graph, frozen, form)
    if frozen.readout is None:
        hidden = graph.cast(_masked(graph, data), form.state_type)
        if form.state_unit != 1:
            hidden = graph.add("Mul", hidden, np.asarray(form.state_unit, form.state_type))
        graph.add("Transpose", hidden, perm=[1, 0, 2], name="hidden")
        outputs = [tensor("hidden", form.state_type, ("batch", "time", frozen.output_size))]
    else:
        logits = form.readout(graph, frozen.readout, ends)
        graph.add("ArgMax", logits, axis=-1, keepdims=0, name="class")
        outputs = [
            tensor("logits", form.logit_type, ("batch", frozen.output_size)),
            tensor("class", np.int64, ("batch",)),
        ]
    inputs = [tensor("x", np.float32, ("batch", "time", frozen.input_size)), tensor("lengths", np.int64, ("batch",))]
    return make_model(graph.to_proto("bitgate", inputs, outputs), _metadata(frozen, form_name))


def _layers(graph: Graph, frozen: FrozenModel, form: Form) -> tuple[str, str]:
    """Output ``(T, B, H)`` of the last layer, and its states ``(B, H)`` at the ends.

    A reverse direction runs forwards over reversed sequences, and its last state is at their start; a forward one's is
    the first of the reversed states. So the loops need not know the lengths.
    """
    data = graph.add("Transpose", form.input(graph, "x"), perm=[1, 0, 2])
    ends = _first(graph, _reversed(graph, data))
    names = iter(layer_names(frozen))
    for directions in frozen.layers:
        outputs, last = [], []
        for layer in directions:
            name = next(names)
            if layer.reverse:
                mirrored = form.layer(graph, layer, _reversed(graph, data), name, f"{name}.mirrored")
                outputs.append(_reversed(graph, mirrored, f"{name}.h"))
                last.append(_first(graph, outputs[-1]))
            else:
                outputs.append(form.layer(graph, layer, data, name, f"{name}.h"))
                last.append(_first(graph, _reversed(graph, outputs[-1])))
        data = outputs[0] if len(outputs) == 1 else graph.add("Concat", *outputs, axis=-1)
        ends = last[0] if len(last) == 1 else graph.add("Concat", *last, axis=-1)
    return data, ends


def _reversed(graph: Graph, data: str, name: str | None = None) -> str:
    """Every sequence of ``(T, B, ...)`` from its end to its start; the padding stays behind it."""
    return graph.add("ReverseSequence", data, "lengths", time_axis=0, batch_axis=1, name=name)


def _first(graph: Graph, data: str) -> str:
    """The first step of ``(T, B, H)``."""
    return graph.add("Gather", data, np.int64(0), axis=0)


def _masked(graph: Graph, data: str) -> str:
    """``(T, B, H)`` with zeros behind the ends."""
    steps = graph.add("Gather", graph.add("Shape", data), np.int64(0), axis=0)
    count = graph.add("Range", np.int64(0), steps, np.int64(1))
    alive = graph.add("Less", graph.add("Unsqueeze", count, np.array([1], np.int64)), "lengths")
    zero = graph.add("CastLike", np.int32(0), data)
    return graph.add("Where", graph.add("Unsqueeze", alive, np.array([2], np.int64)), data, zero)


def _metadata(frozen: FrozenModel, form_name: str) -> dict[str, str]:
    """Texts that travel with the file."""
    found = {
        "bitgate_version": __version__,
        "form": form_name,
        "state_bits": str(frozen.state_bits),
        "output_scale": repr(frozen.output_scale if form_name == "integer" else 1.0),
    }
    if frozen.readout is not None:
        found["class_names"] = json.dumps(list(frozen.class_names))
    for key in ("name", "data", "feature_names"):
        if key in frozen.metadata:
            value = frozen.metadata[key]
            found[key] = value if isinstance(value, str) else json.dumps(value)
    return found
