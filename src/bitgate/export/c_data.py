"""The constants of a frozen model as C source: data only, no algorithm."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bitgate.export.c_fast import Kernels, has_separate_sums, joint_gates, order_weights, separate_gates, table_groups
from bitgate.export.c_kernels import SKIP_STEP, is_shared_step, knows_gates, row_function, step_function, sums_function
from bitgate.frozen import BlockSkip, FrozenLayer, FrozenModel, PackedMatrix, Readout, tables
from bitgate.frozen.record import BIAS_UNIT

LINE_LENGTH = 116


def _lines(items: Iterable[str]) -> str:
    """Items with commas, broken into indented lines."""
    lines = [""]
    for item in items:
        if len(lines[-1]) + len(item) + 2 > LINE_LENGTH:
            lines.append("")
        lines[-1] += f" {item}," if lines[-1] else f"    {item},"
    return "\n".join(lines)


def _integer(value: int) -> str:
    # C has no negative literals: -2147483648 would be the negation of a number too large for int32.
    return "INT32_MIN" if value == -(1 << 31) else str(value)


def _array(c_type: str, name: str, values: NDArray[np.generic], comment: str) -> str:
    flat = values.reshape(-1).tolist()
    if c_type == "float":
        items = [f"{value!r}f" for value in flat]
    elif c_type == "uint32_t":
        items = [f"0x{value:08x}u" for value in flat]
    elif c_type == "uint8_t" and name.endswith("_codes"):
        items = [f"0x{value:02x}" for value in flat]
    else:
        items = [_integer(value) for value in flat]
    return f"/* {comment} */\nstatic const {c_type} {name}[{len(flat)}] = {{\n{_lines(items)}\n}};\n"


def _matrix_arrays(matrix: PackedMatrix, name: str, comment: str) -> list[str]:
    size = "five to a byte" if matrix.is_dense else f"of {matrix.bits} bits"
    shape = f"{matrix.rows} rows of {matrix.columns} codes {size}"
    return [
        _array("uint8_t", f"{name}_codes", matrix.packed, f"{comment}: {shape}"),
        _array("int8_t", f"{name}_levels", matrix.levels, "levels"),
    ]


def _matrix_fields(matrix: PackedMatrix, name: str) -> str:
    return (
        f"{{.row_sum = {row_function(matrix)}, .codes = {name}_codes, .levels = {name}_levels, "
        f".rows = {matrix.rows},\n             .columns = {matrix.columns}, .row_bytes = {matrix.packed.shape[1]}, "
        f".bits = {matrix.bits}}}"
    )


def _ordered_arrays(layer: FrozenLayer, key: str, kernels: Kernels, groups: int, name: str, comment: str) -> list[str]:
    matrix = layer.w_ih if key == "w_ih" else layer.w_hh
    first = joint_gates(layer) if key == "w_ih" else 0  # the separate sums of the inputs lie before the joint ones
    ordered = order_weights(matrix, layer.n_projections, kernels, groups, first=first)
    shape = f"{matrix.rows} rows of {matrix.columns} weights, in the order of bg_{kernels}.c"
    return [_array("uint8_t" if ordered.itemsize == 1 else "uint32_t", f"{name}_codes", ordered, f"{comment}: {shape}")]


def _ordered_fields(matrix: PackedMatrix, kernels: Kernels, name: str) -> str:
    cast = "(const uint8_t *)" if kernels == "lanes" else ""
    return f"{{.codes = {cast}{name}_codes, .rows = {matrix.rows}, .columns = {matrix.columns}, .bits = 2}}"


def _gate_arrays(layers: Iterable[FrozenLayer]) -> list[str]:
    """Thresholds and values of every count of levels above two that occurs; smooth and step gates need none."""
    counts = sorted({n for layer in layers for n in layer.gate_levels if n > 2})
    arrays = []
    for n in counts:
        arrays.append(_array("int32_t", f"thresholds_{n}", tables.gate_thresholds(n), f"{n} levels: thresholds, Q15"))
        arrays.append(_array("uint16_t", f"values_{n}", tables.gate_values(n), f"{n} levels: values, Q15"))
    return arrays


def _gates(layer: FrozenLayer, name: str) -> str:
    entries = [
        f"    {{.thresholds = thresholds_{n}, .values = values_{n}, .levels = {n}}}, /* {gate} */"
        if n > 2
        else f"    {{.thresholds = NULL, .values = NULL, .levels = {n}}}, /* {gate}: {'step' if n else 'smooth'} */"
        for gate, n in zip(layer.gates, layer.gate_levels, strict=True)
    ]
    return f"static const bg_gate {name}_gates[{len(entries)}] = {{\n" + "\n".join(entries) + "\n};\n"


def _layer_arrays(layer: FrozenLayer, name: str, kernels: Kernels, groups: int) -> list[str]:
    gates = " ".join(layer.gates)
    scope = "gate" if len(layer.mult_ih) == len(layer.gates) else "row"
    parts = [f"/* {name}: {layer.cell}, {layer.input_size} inputs, {layer.hidden_size} units, gate rows {gates} */\n"]
    for matrix, key, comment in ((layer.w_ih, "w_ih", "input weights"), (layer.w_hh, "w_hh", "recurrent weights")):
        if kernels == "plain":
            parts += _matrix_arrays(matrix, f"{name}_{key}", comment)
        else:
            parts += _ordered_arrays(layer, key, kernels, groups, f"{name}_{key}", comment)
    parts += [
        _array("int32_t", f"{name}_mult_ih", layer.mult_ih, f"multipliers of the input sums, by {scope}"),
        _array("int32_t", f"{name}_mult_hh", layer.mult_hh, f"multipliers of the recurrent sums, by {scope}"),
        _array("uint8_t", f"{name}_shift", layer.shift, "right shifts, by gate"),
        _bias(layer, name, kernels),
    ]
    if layer.bias_hn is not None:
        parts.append(_array("int32_t", f"{name}_bias_hn", layer.bias_hn, "recurrent biases of gate n, Q15, by unit"))
    if is_shared_step(layer, kernels):
        parts.append(_array("uint8_t", f"{name}_sharing", np.array(layer.projections), "projection of each gate"))
    if layer.skip is not None:
        parts += _skip_text(layer, layer.skip, name, kernels)
    return parts if knows_gates(layer, kernels) else [*parts, _gates(layer, name)]


def _bias(layer: FrozenLayer, name: str, kernels: Kernels) -> str:
    if knows_gates(layer, kernels):
        by_unit = layer.bias.reshape(len(layer.gates), -1).T
        short = by_unit // BIAS_UNIT
        return _array("int16_t", f"{name}_bias", short, f"biases, Q12, by unit: {' '.join(layer.gates)}")
    return _array("int32_t", f"{name}_bias", layer.bias, "biases, Q15, by row")


def _skip_text(layer: FrozenLayer, skip: BlockSkip, name: str, kernels: Kernels) -> list[str]:
    scope = "for all units" if len(skip.alpha) == 1 else "by unit"
    return [
        _array("uint16_t", f"{name}_alpha", skip.alpha, f"alpha of the skip, Q15, {scope}"),
        f"""static const bg_skip {name}_skip = {{
    .cell = {step_function(layer, kernels)},
    .alpha = {name}_alpha,
    .block_size = {skip.block_size},
    .alpha_per_unit = {int(len(skip.alpha) != 1)},
    .range_bits = {skip.range_bits},
}};
""",
    ]


def _layer_fields(layer: FrozenLayer, name: str, kernels: Kernels, groups: int) -> str:
    per_row = int(len(layer.mult_ih) != len(layer.gates))
    bias_hn = "NULL" if layer.bias_hn is None else f"{name}_bias_hn"
    matrices = {
        key: _matrix_fields(matrix, f"{name}_{key}")
        if kernels == "plain"
        else _ordered_fields(matrix, kernels, f"{name}_{key}")
        for key, matrix in (("w_ih", layer.w_ih), ("w_hh", layer.w_hh))
    }
    sums = ""
    if kernels != "plain":
        joint, separate = joint_gates(layer), separate_gates(layer)
        sums = f"        .sums = {sums_function(layer, kernels)},\n"
        sums += f"        .joint_gates = {joint},\n        .separate_gates = {separate},\n"
    if kernels == "table":
        sums += f"        .table_groups = {groups},\n"
    if is_shared_step(layer, kernels):
        sums += f"        .sharing = {name}_sharing,\n"
    if layer.skip is not None:
        sums += f"        .skip = &{name}_skip,\n"
    return f"""    {{
        .step = {step_function(layer, kernels) if layer.skip is None else SKIP_STEP},
        .w_ih = {matrices["w_ih"]},
        .w_hh = {matrices["w_hh"]},
        .gates = {"NULL" if knows_gates(layer, kernels) else f"{name}_gates"},
        .mult_ih = {name}_mult_ih,
        .mult_hh = {name}_mult_hh,
        .shift = {name}_shift,
        .bias = {{.{"q12" if knows_gates(layer, kernels) else "q15"} = {name}_bias}},
        .bias_hn = {bias_hn},
        .mult_per_row = {per_row},
        .product_bits = {layer.product_bits},
        .state_size = {layer.state_size},
{sums}    }},
"""


def _readout_text(readout: Readout) -> list[str]:
    scope = "for all" if len(readout.mult) == 1 else "by class"
    return [
        *_matrix_arrays(readout.weight, "readout_w", "readout weights"),
        _array("int32_t", "readout_mult", readout.mult, f"multiplier of the readout sums, {scope}"),
        _array("int32_t", "readout_bias", readout.bias, "biases of the logits, by class"),
        f"""static const bg_readout readout = {{
    .weight = {_matrix_fields(readout.weight, "readout_w")},
    .mult = readout_mult,
    .bias = readout_bias,
    .mult_per_row = {int(len(readout.mult) != 1)},
}};
""",
    ]


def model_source(frozen: FrozenModel, name: str, kernels: Kernels = "plain") -> str:
    """Text of ``<name>.c``: all constants of ``frozen``, then the structures that point to them."""
    layers = {f"layer{k}": layer for k, layer in enumerate(frozen.flat_layers)}
    headers = [
        *(["bg_cells.h"] if any(kernels == "plain" or has_separate_sums(layer) for layer in layers.values()) else []),
        *(["bg_sums.h"] if layers and kernels != "plain" else []),
    ]
    cells = "".join(f'#include "{header}"\n' for header in headers)
    skips = '#include "bg_skip.h"\n' if any(layer.skip for layer in layers.values()) else ""
    parts = [f'#include "{name}.h"\n\n#include <stddef.h>\n\n{cells}#include "bg_rows.h"\n{skips}']
    for key, values, unit in (("mean", frozen.input_map.mean, "features' own units"),
                              ("gain", frozen.input_map.gain, "codes per unit of the feature")):  # fmt: skip
        array = _array("float", f"{name}_input_{key}", values, f"input map: {key}, {unit}")
        parts.append(array.replace("static const", "const"))
    parts += _gate_arrays(layers.values())
    groups = table_groups(frozen) if layers else 0
    for key, layer in layers.items():
        parts += _layer_arrays(layer, key, kernels, groups)
    if layers:
        fields = "".join(_layer_fields(layer, key, kernels, groups) for key, layer in layers.items())
        parts.append(f"static const bg_layer layers[{len(layers)}] = {{\n{fields}}};\n")
    if frozen.readout is not None:
        parts += _readout_text(frozen.readout)
    parts.append(f"""const bg_model {name}_params = {{
    .layers = {"layers" if layers else "NULL"},
    .readout = {"NULL" if frozen.readout is None else "&readout"},
    .input_size = {frozen.input_size},
    .n_layers = {len(layers)},
    .state_bits = {frozen.state_bits},
}};
""")
    return "\n".join(parts)


def names_source(frozen: FrozenModel, name: str) -> str:
    """Text of ``<name>_names.c``: the table of class names."""
    names = ",\n".join(f"    {_string(text)}" for text in frozen.class_names)
    return f'#include "{name}.h"\n\nconst char *const {name}_class_names[{name.upper()}_CLASSES] = {{\n{names},\n}};\n'


def _string(text: str) -> str:
    """C string literal of any text; what is not plain ASCII becomes three-digit octal escapes of its UTF-8 bytes."""
    plain = "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}" for byte in text.encode()
    )
    return f'"{plain}"'
