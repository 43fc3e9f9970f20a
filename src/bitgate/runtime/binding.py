"""A frozen model in the native library: the only place that knows the layout of its arguments."""

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitgate.errors import ToolError
from bitgate.frozen import BlockSkip, FrozenLayer, FrozenModel, PackedMatrix, Readout, tables
from bitgate.frozen.interpreter import Codes, Int32

_MODULE = "bitgate._native"


def _import_native() -> Any:
    return import_module(_MODULE)


def native_status() -> str:
    """``"native"`` if the native library can be used, else why not, for ``bitgate info``."""
    try:
        _import_native()
    except ImportError as error:
        return (
            f"not available ({error}): the NumPy interpreter runs instead; install a C compiler and reinstall bitgate"
        )
    return "native"


def native_available() -> bool:
    """Whether the native library is built and loads."""
    return native_status() == "native"


class NativeModel:
    """The constants of one model inside the C kernels; immutable, may be shared by threads."""

    def __init__(self, frozen: FrozenModel) -> None:
        try:
            native = _import_native()
        except ImportError as error:
            raise ToolError(f"native backend: {native_status()}") from error
        layers = []
        inputs = frozen.input_size
        for directions in frozen.layers:
            layers += [(_layer(layer), inputs) for layer in directions]
            inputs = sum(layer.hidden_size for layer in directions)
        readout = None if frozen.readout is None else _readout(frozen.readout)
        self._model = native.Model(frozen.state_bits, frozen.input_size, tuple(layers), readout)
        self._layers = frozen.flat_layers
        self._classes = 0 if frozen.readout is None else frozen.output_size

    def run_layer(self, index: int, x: Codes, lengths: NDArray[np.int64], keep_c: bool) -> tuple[Codes, Codes | None]:
        """Layer ``index`` of ``flat_layers`` over codes ``(B, T, I)``: ``h`` and, if wanted, ``c``, ``(B, T, H)``."""
        layer = self._layers[index]
        h = np.empty((*x.shape[:2], layer.hidden_size), dtype=np.int16)
        c = np.empty_like(h) if keep_c else None
        codes = np.ascontiguousarray(x, dtype=np.int16)
        self._model.run_layer(index, layer.reverse, codes, lengths.astype(np.int32), h, c)
        return h, c

    def step(self, state: Codes, x: Codes) -> None:
        """One step of ``B`` streams: ``state (B, S)``, changed in place, as bg_model.h lays it out."""
        self._model.step(state, np.ascontiguousarray(x, dtype=np.int16))

    def logits(self, h: Codes) -> Int32:
        """Integer logits ``(B, classes)`` of hidden codes ``(B, H)``."""
        out = np.empty((len(h), self._classes), dtype=np.int32)
        self._model.logits(np.ascontiguousarray(h, dtype=np.int16), out)
        return out


def _matrix(matrix: PackedMatrix) -> tuple[Any, ...]:
    levels = np.zeros(1 << matrix.bits, dtype=np.int8)
    levels[: len(matrix.levels)] = matrix.levels
    packed = np.ascontiguousarray(matrix.with_packing(dense=False).packed).reshape(-1)
    return packed, levels, len(matrix.levels), matrix.rows, matrix.columns, matrix.bits


def _gate(levels: int) -> tuple[Any, ...]:
    if levels <= 2:
        return levels, None, None
    return levels, tables.gate_thresholds(levels), tables.gate_values(levels).astype(np.uint16)


def _layer(layer: FrozenLayer) -> tuple[Any, ...]:
    return (
        layer.cell,
        _matrix(layer.w_ih),
        _matrix(layer.w_hh),
        tuple(_gate(levels) for levels in layer.gate_levels),
        np.ascontiguousarray(layer.mult_ih),
        np.ascontiguousarray(layer.mult_hh),
        len(layer.mult_ih) != len(layer.gates),
        layer.shift.astype(np.uint8),
        np.ascontiguousarray(layer.bias),
        None if layer.bias_hn is None else np.ascontiguousarray(layer.bias_hn),
        layer.product_bits,
        np.array(layer.projections, dtype=np.uint8) if layer.is_shared else None,
        None if layer.skip is None else _skip(layer.skip),
    )


def _skip(skip: BlockSkip) -> tuple[Any, ...]:
    return skip.alpha.astype(np.uint16), len(skip.alpha) != 1, skip.block_size, skip.range_bits


def _readout(readout: Readout) -> tuple[Any, ...]:
    mult = np.ascontiguousarray(readout.mult)
    return _matrix(readout.weight), mult, len(mult) != 1, np.ascontiguousarray(readout.bias)
