"""Export to an ONNX file: built, run and compared with the frozen model before it gets its name."""

import os
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args

from bitgate.errors import ArgumentError, ToolError
from bitgate.frozen import FrozenModel

Form = Literal["integer", "float"]
FORMS: tuple[str, ...] = get_args(Form)


def export_onnx(frozen: FrozenModel, path: str | os.PathLike[str], *, form: Form = "integer") -> Path:
    """Writes ``frozen`` as an ONNX model (docs/onnx.md) after comparing what it computes with the frozen model.

    Batch and time are dynamic. Inputs: ``x`` float32 ``(batch, time, features)``, raw; ``lengths`` int64 ``(batch,)``.
    Outputs: ``logits`` ``(batch, classes)`` and ``class`` int64 ``(batch,)`` at each sequence's end; without readout
    ``hidden`` ``(batch, time, H)``, zero behind the ends.

    The comparison runs random sequences of several lengths in onnxruntime and in ONNX's reference evaluator, and
    looks at every hidden state of every step. The file appears only after it has passed.

    Args:
        frozen: the model.
        path: file to write; an existing one is replaced, a missing folder made.
        form: "integer" computes the integers of the interpreter, equal to the last bit, in a Scan of integer nodes.
            "float" computes the same network in float32 without rounding: ONNX's LSTM or GRU node for layers of
            smooth gates, a Scan of primitive nodes for others; its logits are in real units.

    Returns:
        The path.

    Raises:
        ArgumentError: no frozen model, an unknown form, or ``path`` is a folder.
        UnsupportedError: the model has no such form.
        ToolError: onnx or onnxruntime are missing, or one of them computes something else than the model.
    """
    if not isinstance(frozen, FrozenModel):
        raise ArgumentError(f"frozen: {type(frozen).__name__}, expected a FrozenModel; bitgate.freeze makes one")
    if form not in FORMS:
        raise ArgumentError(f"form: {form!r}, expected one of {FORMS}")
    target = Path(path)
    if target.is_dir():
        raise ArgumentError(f"path: {target} is a folder, expected the name of a file")
    build, check = (_load(f"bitgate.export.onnx_{name}") for name in ("model", "check"))
    model = build.build_model(frozen, form)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(model.SerializeToString())
        check.check(model, temporary, frozen, form)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _load(name: str) -> Any:
    """A module that imports onnx or onnxruntime, which only this export needs."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ToolError(f"export to ONNX: {error}; pip install 'bitgate[onnx]'") from error
