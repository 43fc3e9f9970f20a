"""The model file: a safetensors container with a versioned JSON description (docs/format.md)."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from bitgate.errors import BitgateError, FormatError
from bitgate.frozen.record import BlockSkip, FrozenLayer, InputMap, PackedMatrix, Readout

if TYPE_CHECKING:
    from bitgate.frozen.model import FrozenModel

VERSIONS = ("1", "2")
"""Files of version 2 hold what version 1 had no names for: gate maps, skips, the gated RNN."""
Tensors = dict[str, NDArray[Any]]

_LAYER_ARRAYS = ("mult_ih", "mult_hh", "shift", "bias", "bias_hn")
_LAYER_KEYS = frozenset({"cell", "gate_levels", "w_ih", "w_hh", "product_bits", "reverse"})
_NEW_KEYS = frozenset({"sharing", "skip"})
_SKIP_KEYS = frozenset({"kind", "block_size", "range_bits"})


def version_of(model: "FrozenModel") -> str:
    """The lowest version that can hold ``model``, so that older readers read what they can."""
    is_new = any(layer.cell == "gated_rnn" or layer.sharing or layer.skip for layer in model.flat_layers)
    return VERSIONS[is_new]


def write(model: "FrozenModel", path: str | os.PathLike[str]) -> None:
    """Writes ``model`` to a temporary name beside ``path``, then renames it."""
    tensors: Tensors = {"input.mean": model.input_map.mean, "input.gain": model.input_map.gain}
    description: dict[str, Any] = {
        "state_bits": model.state_bits,
        "layers": [
            [_put_layer(layer, f"layers.{k}.{d}", tensors) for d, layer in enumerate(directions)]
            for k, directions in enumerate(model.layers)
        ],
        "readout": _put_readout(model.readout, tensors),
        "metadata": dict(model.metadata),
    }
    header = {"format": "bitgate", "version": version_of(model), "model": json.dumps(description, sort_keys=True)}
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, temporary, header)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: str | os.PathLike[str], build: Callable[..., "FrozenModel"]) -> "FrozenModel":
    """Reads and checks a model file; ``build`` makes the model from its parts."""
    name = os.fspath(path)
    if not Path(name).is_file():
        raise FileNotFoundError(f"{name}: no such model file")
    try:
        with safe_open(name, framework="numpy") as container:
            header = container.metadata() or {}
            tensors = {key: container.get_tensor(key) for key in container.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, ValueError, TypeError, KeyError, OSError) as error:
        raise FormatError(f"{name}: not a readable safetensors file ({error})") from error
    if header.get("format") != "bitgate":
        raise FormatError(f"{name}: a safetensors file, but not a bitgate model (its metadata lack format=bitgate)")
    version = header.get("version")
    if version not in VERSIONS:
        raise FormatError(f"{name}: version {version} of the format; this bitgate reads {' and '.join(VERSIONS)}")
    try:
        parts = _take_parts(json.loads(header["model"]), tensors)
        if tensors:
            raise FormatError(f"unknown tensors {sorted(tensors)[:3]}")
        model = build(**parts)
        if version_of(model) != version:
            raise FormatError(f"version {version} of the format, but what it holds is of version {version_of(model)}")
        return model
    except KeyError as error:
        raise FormatError(f"{name}: {error.args[0]!r} is missing") from error
    except (BitgateError, ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise FormatError(f"{name}: {error}") from error


def _take_parts(description: dict[str, Any], tensors: Tensors) -> dict[str, Any]:
    unknown = set(description) - {"state_bits", "layers", "readout", "metadata"}
    if unknown:
        raise FormatError(f"unknown keys {sorted(unknown)} in the description")
    layers = tuple(
        tuple(_take_layer(entry, f"layers.{k}.{d}", tensors) for d, entry in enumerate(directions))
        for k, directions in enumerate(description["layers"])
    )
    return {
        "state_bits": _integer(description, "state_bits"),
        "input_map": InputMap(tensors.pop("input.mean"), tensors.pop("input.gain")),
        "layers": layers,
        "readout": _take_readout(description["readout"], tensors),
        "metadata": dict(description["metadata"]),
    }


def _integer(entry: dict[str, Any], key: str) -> int:
    value = entry[key]
    if type(value) is not int:
        raise FormatError(f"{key}: {value!r} is no integer")
    return value


def _put_matrix(matrix: PackedMatrix, key: str, tensors: Tensors) -> dict[str, Any]:
    tensors[key] = matrix.packed
    entry = {"columns": matrix.columns, "bits": matrix.bits, "levels": matrix.levels.tolist()}
    return {**entry, "dense": True} if matrix.is_dense else entry


def _take_matrix(entry: dict[str, Any], key: str, tensors: Tensors) -> PackedMatrix:
    levels = np.array(entry["levels"])
    if levels.ndim != 1 or levels.dtype.kind != "i" or not -127 <= levels.min() <= levels.max() <= 127:
        raise FormatError(f"{key}: levels must be integers from -127 to 127")
    columns, bits, is_dense = _integer(entry, "columns"), _integer(entry, "bits"), entry.get("dense", False)
    if type(is_dense) is not bool:
        raise FormatError(f"{key}: dense must be true or false")
    return PackedMatrix(tensors.pop(key), columns, bits, levels.astype(np.int8), is_dense)


def _put_layer(layer: FrozenLayer, prefix: str, tensors: Tensors) -> dict[str, Any]:
    for name in _LAYER_ARRAYS:
        if getattr(layer, name) is not None:
            tensors[f"{prefix}.{name}"] = getattr(layer, name)
    entry = {
        "cell": layer.cell,
        "gate_levels": list(layer.gate_levels),
        "w_ih": _put_matrix(layer.w_ih, f"{prefix}.w_ih", tensors),
        "w_hh": _put_matrix(layer.w_hh, f"{prefix}.w_hh", tensors),
        "product_bits": layer.product_bits,
        "reverse": layer.reverse,
    }
    if layer.sharing is not None:
        entry["sharing"] = list(layer.sharing)
    if layer.skip is not None:
        tensors[f"{prefix}.alpha"] = layer.skip.alpha
        skip = layer.skip
        entry["skip"] = {"kind": "block", "block_size": skip.block_size, "range_bits": skip.range_bits}
    return entry


def _take_keys(entry: dict[str, Any], prefix: str) -> None:
    """Refuses keys of a layer that have no meaning."""
    unknown = set(entry) - _LAYER_KEYS - _NEW_KEYS
    if unknown:
        raise FormatError(f"{prefix}: unknown keys {sorted(unknown)[:3]}")


def _take_sharing(entry: dict[str, Any], prefix: str) -> tuple[int, ...] | None:
    if "sharing" not in entry:
        return None
    sharing = entry["sharing"]
    if type(sharing) is not list or not sharing or any(type(projection) is not int for projection in sharing):
        raise FormatError(f"{prefix}: sharing must be a list of integers")
    return tuple(sharing)


def _take_skip(entry: dict[str, Any], prefix: str, tensors: Tensors) -> BlockSkip | None:
    if "skip" not in entry:
        return None
    skip = entry["skip"]
    if type(skip) is not dict or set(skip) != _SKIP_KEYS or skip["kind"] != "block":
        raise FormatError(f"{prefix}: skip must have the keys {sorted(_SKIP_KEYS)}, and kind must be 'block'")
    alpha = tensors.pop(f"{prefix}.alpha")
    if alpha.ndim != 1 or not alpha.size:
        raise FormatError(f"{prefix}.alpha: shape {alpha.shape}, expected one number, or one for each unit")
    return BlockSkip(_integer(skip, "block_size"), alpha, _integer(skip, "range_bits"))


def _take_layer(entry: dict[str, Any], prefix: str, tensors: Tensors) -> FrozenLayer:
    _take_keys(entry, prefix)
    gate_levels = tuple(entry["gate_levels"])
    if any(type(n) is not int for n in gate_levels) or type(entry["reverse"]) is not bool:
        raise FormatError(f"{prefix}: gate_levels must be integers and reverse true or false")
    optional = () if entry["cell"] == "gru" else ("bias_hn",)
    arrays = {name: tensors.pop(f"{prefix}.{name}") for name in _LAYER_ARRAYS if name not in optional}
    return FrozenLayer(
        cell=entry["cell"],
        gate_levels=gate_levels,
        w_ih=_take_matrix(entry["w_ih"], f"{prefix}.w_ih", tensors),
        w_hh=_take_matrix(entry["w_hh"], f"{prefix}.w_hh", tensors),
        product_bits=_integer(entry, "product_bits"),
        reverse=entry["reverse"],
        mult_ih=arrays["mult_ih"],
        mult_hh=arrays["mult_hh"],
        shift=arrays["shift"],
        bias=arrays["bias"],
        bias_hn=arrays.get("bias_hn"),
        sharing=_take_sharing(entry, prefix),
        skip=_take_skip(entry, prefix, tensors),
    )


def _put_readout(readout: Readout | None, tensors: Tensors) -> dict[str, Any] | None:
    if readout is None:
        return None
    tensors |= {"readout.mult": readout.mult, "readout.bias": readout.bias}
    return {"weight": _put_matrix(readout.weight, "readout.weight", tensors), "scale": readout.scale}


def _take_readout(entry: dict[str, Any] | None, tensors: Tensors) -> Readout | None:
    if entry is None:
        return None
    weight = _take_matrix(entry["weight"], "readout.weight", tensors)
    if type(entry["scale"]) is not float:
        raise FormatError(f"readout.scale: {entry['scale']!r} is no number")
    return Readout(weight, tensors.pop("readout.mult"), tensors.pop("readout.bias"), entry["scale"])
