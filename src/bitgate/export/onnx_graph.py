"""ONNX graphs, node by node. This module imports onnx, so it is itself imported only where an export is asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

OPSET = 17
IR_VERSION = 8
"""Both of 2022: every runtime since then reads the file."""

Value = str | NDArray[Any] | np.generic
"""Input of a node: the name of a tensor, or a constant."""


class Graph:
    """Nodes and constants in the order of computation; ``prefix`` keeps the names of subgraphs apart."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], onnx.TensorProto] = {}

    def constant(self, value: NDArray[Any] | np.generic) -> str:
        """Name of a constant; equal ones are stored once."""
        array = np.ascontiguousarray(value) if np.ndim(value) else np.asarray(value)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"{self.prefix}constant_{len(self._constants)}"
            self._constants[key] = numpy_helper.from_array(array, name)
        return str(self._constants[key].name)

    def add(self, op: str, *inputs: Value, name: str | None = None, **attributes: Any) -> str:
        """Adds a node with one output; returns the output's name."""
        return self.add_many(op, 1, *inputs, names=None if name is None else [name], **attributes)[0]

    def add_many(
        self, op: str, outputs: int, *inputs: Value, names: Sequence[str] | None = None, **attributes: Any
    ) -> list[str]:
        """Adds a node with several outputs; returns their names."""
        label = f"{self.prefix}{op}_{len(self.nodes)}"
        results = list(names or [label if outputs == 1 else f"{label}.{k}" for k in range(outputs)])
        sources = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        self.nodes.append(helper.make_node(op, sources, results, name=label, **attributes))
        return results

    def split(self, value: str, sizes: Sequence[int]) -> list[str]:
        """Cuts the last axis into parts."""
        if len(sizes) == 1:
            return [value]
        return self.add_many("Split", len(sizes), value, np.array(sizes, np.int64), axis=-1)

    def cast(self, value: Value, dtype: type) -> str:
        """Converts the type of a tensor."""
        return self.add("Cast", value, to=element_type(dtype))

    def zeros(self, x: str, size: int, dtype: type) -> str:
        """Initial state ``(B, size)`` for sequences ``x (T, B, ...)``."""
        batch = self.add("Gather", self.add("Shape", x), np.array([1], np.int64), axis=0)
        shape = self.add("Concat", batch, np.array([size], np.int64), axis=0)
        return self.add("Expand", np.zeros((), dtype), shape)

    def scan(self, body: "Graph", state: tuple[int, Sequence[type]], step: tuple[str, type, int], output: str) -> str:
        """Loop over the first axis of a sequence ``(T, B, ...)``, from zero states; collects the first state.

        Args:
            body: reads ``PREFIXstate_K (B, size)`` and ``PREFIXstep (B, width)``, makes ``PREFIXnext_K``.
            state: size of the states, and the type of each.
            step: the sequence, its type and its width.
            output: name of the collected states ``(T, B, size)``.
        """
        (size, dtypes), (sequence, dtype, width) = state, step
        # Older releases of onnxruntime refuse a body without types and shapes.
        reads = [tensor(f"{body.prefix}state_{k}", kind, ("batch", size)) for k, kind in enumerate(dtypes)]
        reads.append(tensor(f"{body.prefix}step", dtype, ("batch", width)))
        makes = [tensor(f"{body.prefix}next_{k}", kind, ("batch", size)) for k, kind in enumerate(dtypes)]
        makes.append(tensor(body.add("Identity", makes[0].name, name=f"{body.prefix}out"), dtypes[0], ("batch", size)))
        proto = body.to_proto(f"{body.prefix}loop", reads, makes)
        zeros = [self.zeros(sequence, size, kind) for kind in dtypes]
        names = [*(f"{body.prefix}last_{k}" for k in range(len(zeros))), output]
        self.add_many("Scan", len(names), *zeros, sequence, names=names, body=proto, num_scan_inputs=1)
        return output

    def to_proto(
        self, name: str, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]
    ) -> onnx.GraphProto:
        """The finished graph."""
        return helper.make_graph(self.nodes, name, inputs, outputs, initializer=list(self._constants.values()))


def element_type(dtype: type) -> int:
    """ONNX's number of a NumPy type."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def tensor(name: str, dtype: type, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    """Description of an input or output; texts name dynamic axes."""
    return helper.make_tensor_value_info(name, element_type(dtype), list(shape))


def make_model(graph: onnx.GraphProto, metadata: dict[str, str]) -> onnx.ModelProto:
    """The model around a graph."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    model.producer_name = "bitgate"
    helper.set_model_props(model, metadata)
    return model
