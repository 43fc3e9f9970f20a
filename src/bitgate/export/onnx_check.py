"""What an exported ONNX model computes, compared with the frozen model: by onnxruntime and ONNX's own evaluator."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

from bitgate.errors import ToolError
from bitgate.export.onnx_graph import tensor
from bitgate.export.onnx_sample import Arrays, Sample, float_sample, integer_sample
from bitgate.frozen import FrozenModel


def check(model: onnx.ModelProto, path: Path, frozen: FrozenModel, form: str) -> None:
    """Runs the file ``path``, which holds ``model``, and compares every hidden state of every step and every output.

    The integer form must be equal, the float form within the tolerances of ``float_sample``.

    Raises:
        ToolError: the file is no valid ONNX model, cannot be run, or computes something else.
        UnsupportedError: as for ``float_sample``.
    """
    sample = integer_sample(frozen) if form == "integer" else float_sample(frozen)
    probe = _with_states(model, sample)
    runtime = f"onnxruntime {onnxruntime.__version__}"
    engines: dict[str, Callable[[], Arrays]] = {
        runtime: lambda: _run_onnxruntime(str(path), sample),
        f"{runtime}, asked for all states,": lambda: _run_onnxruntime(probe, sample),
        f"the reference evaluator of onnx {onnx.__version__}": lambda: _run_reference(probe, sample),
    }
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ToolError(f"export to ONNX: the model is not valid: {error}") from error
    for engine, run in engines.items():
        try:
            found = run()
        except Exception as error:  # every engine has its own kinds of errors
            raise ToolError(f"export to ONNX: {engine} cannot run the model: {error}") from error
        _compare(engine, sample, found)


def _with_states(model: onnx.ModelProto, sample: Sample) -> onnx.ModelProto:
    """A copy that also gives the hidden states of every layer."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    for name, array in sample.hidden.items():
        probe.graph.output.append(tensor(name, array.dtype.type, ("time", "batch", array.shape[2])))
    return probe


def _run_onnxruntime(model: str | onnx.ModelProto, sample: Sample) -> Arrays:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    source = model if isinstance(model, str) else model.SerializeToString()
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"x": sample.x, "lengths": sample.lengths}), strict=True))


def _run_reference(model: onnx.ModelProto, sample: Sample) -> Arrays:
    evaluator = ReferenceEvaluator(model)
    with np.errstate(all="ignore"):  # NaN behind the ends, and exp beyond float32 in its sigmoid
        found = evaluator.run(None, {"x": sample.x, "lengths": sample.lengths})
    return dict(zip(evaluator.output_names, found, strict=True))


def _compare(engine: str, sample: Sample, found: Arrays) -> None:
    """Raises ``ToolError`` that names the first difference."""
    alive = np.arange(sample.x.shape[1])[:, None, None] < sample.lengths[:, None]
    # Only the probe gives hidden states; what they hold behind an end is nothing to anyone.
    hidden = {name: (expected, alive) for name, expected in sample.hidden.items() if name in found}
    outputs = {name: (expected, np.array(True)) for name, expected in sample.outputs.items()}
    for name, (expected, counts) in (hidden | outputs).items():
        actual = found[name]
        if actual.shape != expected.shape or actual.dtype != expected.dtype:
            raise ToolError(
                f"export to ONNX: {engine} gives {name} as {actual.dtype} of shape {actual.shape}, "
                f"expected {expected.dtype} of shape {expected.shape}"
            )
        tolerance = sample.tolerance.get(name, 0.0)
        wrong = (actual != expected if tolerance == 0 else ~(np.abs(actual - expected) <= tolerance)) & counts
        if wrong.any():
            where = tuple(int(k) for k in np.argwhere(wrong)[0])
            raise ToolError(
                f"export to ONNX: {engine} computes {name}{list(where)} = {actual[where]}, but the model has "
                f"{expected[where]} (tolerance {tolerance:g})"
            )
    if "class" in found and not np.array_equal(found["class"], found["logits"].argmax(axis=-1)):
        raise ToolError(f"export to ONNX: {engine} gives a class that is not the first largest logit")
