"""The header of an exported model: sizes, the state's type and the functions."""

from bitgate.export.c_fast import Kernels, scratch_size, table_groups
from bitgate.frozen import FrozenModel


def state_sizes(frozen: FrozenModel, kernels: Kernels = "plain") -> tuple[int, int]:
    """Number of int16 in the state and in the scratch of the C program; at least one, as C has no empty arrays."""
    sizes = [layer.hidden_size for layer in frozen.flat_layers]
    groups = table_groups(frozen) if sizes else 0
    scratch = max((scratch_size(layer, kernels, groups) for layer in frozen.flat_layers), default=1)
    return (2 * sum(sizes) if sizes else frozen.input_size), scratch


def model_header(frozen: FrozenModel, name: str, kernels: Kernels = "plain") -> str:
    """Text of ``<name>.h``."""
    upper = name.upper()
    include = '#include "bg_readout.h"\n' if frozen.readout is not None else ""
    return f"""/**
 * @file {name}.h
 * @brief A frozen recurrent model of bitgate: constants in flash, state owned by the caller, integers only.
 *
 * {_summary(frozen)}
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
    int16_t values[{upper}_STATE_SIZE];    /**< for each layer h, then c; offsets above */
    {_scratch(upper, kernels)} /**< working memory of a step; need not be saved */
}} {name}_state;

extern const bg_model {name}_params;
extern const float {name}_input_mean[{upper}_INPUT_SIZE];
extern const float {name}_input_gain[{upper}_INPUT_SIZE];

{_functions(name, upper, kernels)}{_readout_functions(name, upper) if frozen.readout is not None else ""}
#ifdef __cplusplus
}}
#endif

#endif
"""


def _summary(frozen: FrozenModel) -> str:
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
        offset += 2 * layer.hidden_size
    return "".join(f"#define {upper}_{key} {value} /**< {meaning} */\n" for key, value, meaning in values)


def _functions(name: str, upper: str, kernels: Kernels) -> str:
    scratch = "state->scratch" if kernels == "plain" else "(int16_t *)(void *)state->scratch"
    return f"""/** Prepares a new state, owned by the caller: all zero. */
static inline void {name}_init({name}_state *state) {{
    bg_model_reset(&{name}_params, state->values);
}}

/** Puts the state back to zero, before the next sequence. */
static inline void {name}_reset({name}_state *state) {{
    bg_model_reset(&{name}_params, state->values);
}}

/** One step. x: {upper}_INPUT_SIZE codes within +-{upper}_CODE_LIMIT, owned by the caller. */
static inline void {name}_step({name}_state *state, const int16_t *x) {{
    bg_model_step(&{name}_params, state->values, {scratch}, x);
}}

/** steps steps. x: steps * {upper}_INPUT_SIZE codes, step by step, owned by the caller. */
static inline void {name}_run({name}_state *state, const int16_t *x, int32_t steps) {{
    for (int32_t t = 0; t < steps; ++t) {{
        {name}_step(state, x + t * {upper}_INPUT_SIZE);
    }}
}}

/** Hidden state of the last layer (the last input, if there is no layer): codes inside state, valid as long as it. */
static inline const int16_t *{name}_output(const {name}_state *state) {{
    return bg_model_output(&{name}_params, state->values);
}}

/** Raw features to codes; needs floating point. features and x: {upper}_INPUT_SIZE values, owned by the caller. */
static inline void {name}_quantize(const float *features, int16_t *x) {{
    bg_quantize({name}_input_mean, {name}_input_gain, {upper}_INPUT_SIZE, {upper}_STATE_BITS, features, x);
}}
"""


def _readout_functions(name: str, upper: str) -> str:
    return f"""
/** Names of the classes, in {name}_names.c. */
extern const char *const {name}_class_names[{upper}_CLASSES];

/** Integer logits of the state: out takes {upper}_CLASSES values, owned by the caller. */
static inline void {name}_logits(const {name}_state *state, int32_t *out) {{
    for (int32_t k = 0; k < {upper}_CLASSES; ++k) {{
        out[k] = bg_readout_logit({name}_params.readout, k, {name}_output(state));
    }}
}}

/** Class of the state, 0 to {upper}_CLASSES - 1: the first largest logit. */
static inline int32_t {name}_predict(const {name}_state *state) {{
    return bg_readout_predict({name}_params.readout, {name}_output(state));
}}
"""
