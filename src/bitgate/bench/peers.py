"""What else runs an LSTM layer on a CPU: each peer steps once with its state kept, and runs a whole sequence."""

import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Call = Callable[[], object]


@dataclass(frozen=True)
class Contestant:
    """One way to run the layer: a step from the state it keeps, and a sequence, batch 1."""

    step: Call
    run: Call


def torch_fp32(size: int, steps: int, threads: int) -> Contestant:
    """``torch.nn.LSTM``."""
    import torch

    return _torch(torch.nn.LSTM(size, size), size, steps, threads)


def torch_int8(size: int, steps: int, threads: int) -> Contestant:
    """``torch.ao.quantization.quantize_dynamic`` of it: int8 weights."""
    import torch
    from torch.ao import quantization

    quantize_dynamic: Any = quantization.quantize_dynamic
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated in favour of a package that has no LSTM
        quantized = quantize_dynamic(torch.nn.Sequential(torch.nn.LSTM(size, size)), {torch.nn.LSTM}, torch.qint8)
    return _torch(quantized[0], size, steps, threads)


def _torch(lstm: Any, size: int, steps: int, threads: int) -> Contestant:
    import torch

    x = torch.randn(steps, 1, size)
    first = x[:1]
    kept = {"state": (torch.zeros(1, 1, size), torch.zeros(1, 1, size))}

    def step() -> None:
        with torch.inference_mode():
            _, kept["state"] = lstm(first, kept["state"])

    def run() -> None:
        with torch.inference_mode():
            lstm(x)

    def limited(call: Call) -> Call:
        def with_threads() -> None:
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            call()

        return with_threads

    return Contestant(limited(step), limited(run))


def onnxruntime_fp32(size: int, steps: int, threads: int) -> Contestant:
    """An LSTM node in onnxruntime."""
    return _onnxruntime(lstm_onnx(size), size, steps, threads)


def onnxruntime_int8(size: int, steps: int, threads: int) -> Contestant:
    """``onnxruntime.quantization.quantize_dynamic`` of it: a DynamicQuantizeLSTM node with int8 weights."""
    import logging

    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "lstm.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(lstm_onnx(size))
        logging.getLogger().setLevel(logging.ERROR)  # it recommends preprocessing, which changes nothing here
        quantize_dynamic(source, target, weight_type=QuantType.QInt8)
        model = target.read_bytes()
    return _onnxruntime(model, size, steps, threads)


def _onnxruntime(model: bytes, size: int, steps: int, threads: int) -> Contestant:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(size=(steps, 1, size)).astype(np.float32)
    first, zero = x[:1].copy(), np.zeros((1, 1, size), np.float32)
    kept = {"h": zero, "c": zero}

    def step() -> None:
        kept["h"], kept["c"] = session.run(["Y_h", "Y_c"], {"X": first, "h": kept["h"], "c": kept["c"]})

    def run() -> None:
        session.run(["Y"], {"X": x, "h": zero, "c": zero})

    return Contestant(step, run)


def openvino_fp32(size: int, steps: int, threads: int) -> Contestant:
    """The same model in OpenVINO, compiled for its latency hint."""
    import openvino

    core = openvino.Core()
    model = core.read_model(lstm_onnx(size))
    compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"})
    x = np.random.default_rng(0).normal(size=(steps, 1, size)).astype(np.float32)
    first, zero = x[:1].copy(), np.zeros((1, 1, size), np.float32)
    kept = {"h": zero, "c": zero}
    one, whole = compiled.create_infer_request(), compiled.create_infer_request()

    def step() -> None:
        found = one.infer({"X": first, "h": kept["h"], "c": kept["c"]}, share_inputs=True)
        kept["h"], kept["c"] = found["Y_h"], found["Y_c"]

    def run() -> None:
        whole.infer({"X": x, "h": zero, "c": zero}, share_inputs=True)

    return Contestant(step, run)


def lstm_onnx(size: int) -> bytes:
    """An ONNX file of one LSTM node: X (T, 1, size), states h and c (1, 1, size)."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    bound = size**-0.5
    shapes = {"W": (1, 4 * size, size), "R": (1, 4 * size, size), "B": (1, 8 * size)}
    weights = [
        numpy_helper.from_array(rng.uniform(-bound, bound, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    node = helper.make_node(
        "LSTM", ["X", "W", "R", "B", "", "h", "c"], ["Y", "Y_h", "Y_c"], name="lstm", hidden_size=size
    )
    state: list[int | str] = [1, 1, size]

    def value(name: str, shape: list[int | str]) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    inputs = [value("X", ["T", 1, size]), value("h", state), value("c", state)]
    outputs = [value("Y", ["T", 1, 1, size]), value("Y_h", state), value("Y_c", state)]
    graph = helper.make_graph([node], "lstm", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9  # readable by every onnxruntime of the last years
    return model.SerializeToString()


PEERS: Mapping[str, Callable[[int, int, int], Contestant]] = {
    "torch": torch_fp32,
    "torch-int8": torch_int8,
    "onnxruntime": onnxruntime_fp32,
    "onnxruntime-int8": onnxruntime_int8,
    "openvino": openvino_fp32,
}
"""By name: makes a contestant from size, steps of a sequence and threads; ImportError where it is not installed."""
