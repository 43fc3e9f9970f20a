"""The functions of an exported model: inline wrappers around the kernels, text of the header."""

from bitgate.export.c_fast import Kernels


def model_functions(name: str, upper: str, kernels: Kernels) -> str:
    """Functions that every model has."""
    return _life(name) + _steps(name, upper, kernels) + _borders(name, upper)


def _life(name: str) -> str:
    return f"""/**
 * Prepares a new state: all zero. Stack: under 64 bytes. Reentrant.
 *
 * @param state  one state, owned by the caller, overwritten
 */
static inline void {name}_init({name}_state *state) {{
    bg_model_reset(&{name}_params, state->values);
}}

/**
 * Puts the state back to zero, before the next sequence. Stack: under 64 bytes. Reentrant.
 *
 * @param state  one state, owned by the caller, overwritten
 */
static inline void {name}_reset({name}_state *state) {{
    bg_model_reset(&{name}_params, state->values);
}}

"""


def _steps(name: str, upper: str, kernels: Kernels) -> str:
    scratch = "state->scratch" if kernels == "plain" else "(int16_t *)(void *)state->scratch"
    return f"""/**
 * One time step. Stack: under 512 bytes. Reentrant.
 *
 * @param state  one state, owned by the caller, updated
 * @param x      {upper}_INPUT_SIZE codes within +-{upper}_CODE_LIMIT, owned by the caller
 */
static inline void {name}_step({name}_state *state, const int16_t *x) {{
    bg_model_step(&{name}_params, state->values, {scratch}, x);
}}

/**
 * Several time steps; the same integers as that many calls of {name}_step. Stack: under 512 bytes. Reentrant.
 *
 * @param state  one state, owned by the caller, updated
 * @param x      steps * {upper}_INPUT_SIZE codes within +-{upper}_CODE_LIMIT, step by step, owned by the caller
 * @param steps  number of steps, 0 or more
 */
static inline void {name}_run({name}_state *state, const int16_t *x, int32_t steps) {{
    for (int32_t t = 0; t < steps; ++t) {{
        {name}_step(state, x + t * {upper}_INPUT_SIZE);
    }}
}}

"""


def _borders(name: str, upper: str) -> str:
    return f"""/**
 * Hidden state of the last layer; the last input of a model without layers. Stack: under 64 bytes. Reentrant.
 *
 * @param state  one state, owned by the caller
 * @return codes inside state, valid as long as it; the next step overwrites them
 */
static inline const int16_t *{name}_output(const {name}_state *state) {{
    return bg_model_output(&{name}_params, state->values);
}}

/**
 * Raw features to codes; the only function that needs floating point. Stack: under 64 bytes. Reentrant.
 *
 * @param features  {upper}_INPUT_SIZE finite values in the units of the training data, owned by the caller
 * @param x         {upper}_INPUT_SIZE codes within +-{upper}_CODE_LIMIT, owned by the caller, overwritten
 */
static inline void {name}_quantize(const float *features, int16_t *x) {{
    bg_quantize({name}_input_mean, {name}_input_gain, {upper}_INPUT_SIZE, {upper}_STATE_BITS, features, x);
}}
"""


def readout_functions(name: str, upper: str) -> str:
    """Functions of a model with classes."""
    return f"""
/** Names of the classes, UTF-8, in {name}_names.c. */
extern const char *const {name}_class_names[{upper}_CLASSES];

/**
 * Integer logits; {upper}_OUTPUT_SCALE times a logit is its real value. Stack: under 128 bytes. Reentrant.
 *
 * @param state  one state, owned by the caller
 * @param out    {upper}_CLASSES values, owned by the caller, overwritten
 */
static inline void {name}_logits(const {name}_state *state, int32_t *out) {{
    for (int32_t k = 0; k < {upper}_CLASSES; ++k) {{
        out[k] = bg_readout_logit({name}_params.readout, k, {name}_output(state));
    }}
}}

/**
 * The class with the largest logit, the first of equals. Stack: under 128 bytes. Reentrant.
 *
 * @param state  one state, owned by the caller
 * @return the class, 0 to {upper}_CLASSES - 1
 */
static inline int32_t {name}_predict(const {name}_state *state) {{
    return bg_readout_predict({name}_params.readout, {name}_output(state));
}}
"""
