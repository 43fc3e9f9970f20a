"""The header of an exported model: sizes, the state's type and the functions."""

from bitgate.export.c_fast import Kernels, scratch_size, table_groups
from bitgate.export.c_functions import model_functions, readout_functions
from bitgate.frozen import FrozenModel


def state_sizes(frozen: FrozenModel, kernels: Kernels = "plain") -> tuple[int, int]:
    """Number of int16 in the state and in the scratch of the C program; at least one, as C has no empty arrays."""
    sizes = [layer.state_size for layer in frozen.flat_layers]
    groups = table_groups(frozen) if sizes else 0
    scratch = max((scratch_size(layer, kernels, groups) for layer in frozen.flat_layers), default=1)
    return (sum(sizes) if sizes else frozen.input_size), scratch


def model_header(frozen: FrozenModel, name: str, kernels: Kernels = "plain") -> str:
    """Text of ``<name>.h``."""
    upper = name.upper()
    include = '#include "bg_readout.h"\n' if frozen.readout is not None else ""
    return f"""/**
 * @file {name}.h
 * @brief A frozen recurrent model of bitgate: constants in flash, state owned by the caller, integers only.
 *
 * {summary(frozen)}
 * All functions are reentrant: they touch nothing but their arguments and constants. Stack: under 512 bytes
 * (640 where pointers have 64 bits).
 */
#ifndef {upper}_H
#define {upper}_H

#include "bg_input.h"
#include "bg_model.h"
{include}
#ifdef __cplusplus
extern "C" {{
#endif

{_constants(frozen, upper, kernels)}
/** State of one stream: RAM, owned by the caller. Everything a later step depends on is in values. */
typedef struct {{
    int16_t values[{upper}_STATE_SIZE];    /**< for each layer h, c and what a skip needs; offsets above */
    {_scratch(upper, kernels)} /**< working memory of a step; need not be saved */
}} {name}_state;

/** All constants of the model. */
extern const bg_model {name}_params;

/** What {name}_quantize subtracts from each feature, in the feature's own unit. */
extern const float {name}_input_mean[{upper}_INPUT_SIZE];

/** Codes per unit of each feature, for {name}_quantize. */
extern const float {name}_input_gain[{upper}_INPUT_SIZE];

{model_functions(name, upper, kernels)}{readout_functions(name, upper) if frozen.readout is not None else ""}
#ifdef __cplusplus
}}
#endif

#endif
"""


def summary(frozen: FrozenModel) -> str:
    """One line on what the model is."""
    sizes = " - ".join(f"{layer.cell} {layer.hidden_size}" for layer in frozen.flat_layers)
    return f"{frozen.input_size} inputs, layers: {sizes or 'none'}, {frozen.output_size} outputs."


def _scratch(upper: str, kernels: Kernels) -> str:
    # The sums of the fast kernels are int32 and need its alignment.
    return (
        f"int16_t scratch[{upper}_SCRATCH_SIZE];"
        if kernels == "plain"
        else f"int32_t scratch[{upper}_SCRATCH_SIZE / 2];"
    )


def _constants(frozen: FrozenModel, upper: str, kernels: Kernels) -> str:
    state, scratch = state_sizes(frozen, kernels)
    classes = 0 if frozen.readout is None else frozen.output_size
    values = [
        ("INPUT_SIZE", frozen.input_size, "features per step"),
        ("LAYERS", len(frozen.flat_layers), "recurrent layers"),
        ("CLASSES", classes, "classes; 0: the output is the hidden state"),
        ("OUTPUT_SIZE", frozen.output_size, "classes, or hidden units of the last layer"),
        ("STATE_BITS", frozen.state_bits, "bits of inputs and hidden states"),
        ("CODE_LIMIT", (1 << (frozen.state_bits - 1)) - 1, "largest magnitude of an input code"),
        ("OUTPUT_SCALE", repr(float(frozen.output_scale)), "real value of one unit of the output"),
        ("STATE_SIZE", state, "int16 in the state"),
        ("SCRATCH_SIZE", scratch, "int16 of working memory"),
    ]
    offset = 0
    for k, layer in enumerate(frozen.flat_layers):
        values += [
            (f"LAYER{k}_SIZE", layer.hidden_size, f"units of layer {k}"),
            (f"LAYER{k}_H", offset, "where its hidden state begins in values"),
            (f"LAYER{k}_C", offset + layer.hidden_size, "where its cell state begins in values"),
        ]
        if layer.skip is not None:
            values += [
                (
                    f"LAYER{k}_ANCHOR",
                    offset + 2 * layer.hidden_size,
                    "where the hidden state of the last boundary begins",
                ),
                (f"LAYER{k}_POSITION", offset + 3 * layer.hidden_size, "where the steps since then are counted"),
            ]
        offset += layer.state_size
    return "".join(f"#define {upper}_{key} {value} /**< {meaning} */\n" for key, value, meaning in values)
