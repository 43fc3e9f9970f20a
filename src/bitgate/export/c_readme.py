"""The README of an exported C program."""

from bitgate.export.c_fast import Kernels
from bitgate.export.c_header import state_sizes
from bitgate.frozen import FrozenModel


def model_readme(frozen: FrozenModel, name: str, sources: list[str], kernels: Kernels = "plain") -> str:
    """Text of ``README.md``; ``sources`` are the names of the C files in ``src``."""
    upper = name.upper()
    limit = (1 << (frozen.state_bits - 1)) - 1
    needed = "\n".join(f"    src/{source}" for source in sources if source != f"{name}_names.c")
    return f"""# {name}: a frozen recurrent model in C99

Written by bitgate. In `src`, `{name}.c` holds constants only; the `bg_*` files are bitgate's fixed kernels, the same
for every model. No allocation, no globals but constants, no recursion; integers only, except for the optional
`{name}_quantize` in `bg_input.c`.

{_sizes(frozen, kernels)}
## Build and try

    make                                  # CC=clang make, CFLAGS=-O2 make
    ./program < sequences.txt             # class of each sequence
    ./program --logits < sequences.txt    # class and integer logits
    ./program --codes < codes.txt         # integer input codes instead of raw features
    ./program --trace < sequences.txt     # every state of every step as well

Text format, for each sequence: a line `T`, then T lines of {frozen.input_size} numbers. `--trace` prints for every
layer of every step the lines `h LAYER values` and `c LAYER values`.

## Use it in a program

This folder is at once

- a CMake project: `add_subdirectory(FOLDER)`, `target_link_libraries(YOURS PRIVATE bitgate::{name})`;
- a Zephyr module: name the folder in `ZEPHYR_EXTRA_MODULES`, set `CONFIG_BITGATE_{upper}=y`;
- an Arduino library: put the folder into `libraries` (or import it as .zip), then `#include <{name}.h>`; the example
  `serial` answers steps that arrive over the serial port.

In any other build compile these files; `bg_input.c` only if features arrive as floats, `src/{name}_names.c` too if
class names are printed.

{needed}

{_options(kernels)}Symbols begin with `{name}_`, so that several models fit into one program; the `bg_*` files are
linked once.

    #include "{name}.h"

    static {name}_state state;                /* one per stream of data */
    int16_t x[{upper}_INPUT_SIZE];

    {name}_init(&state);
    {name}_quantize(features, x);             /* floats in the units of the training data; or deliver x directly */
    {name}_step(&state, x);                   /* once per time step */
    {_result(frozen, name)}
    {name}_reset(&state);                     /* before the next sequence */

Input codes are int16 within ±{limit}. A hidden state is a fraction of {limit + 1}.
{_classes(frozen)}"""


def _options(kernels: Kernels) -> str:
    if kernels == "plain":
        return ""
    return """`-Os`, the default here and in Zephyr and Arduino, makes the least code, and on Cortex-M and RISC-V
takes about as few instructions as `-O2`: their inner loops are in assembly. `-DBG_ASSEMBLY=0` leaves
these out; without them `-DBG_SMALL=0` takes fewer instructions, `-DBG_SMALL=1` (so with `-Os`) less
code. The integers are the same.

"""


def _result(frozen: FrozenModel, name: str) -> str:
    if frozen.readout is None:
        return f"const int16_t *h = {name}_output(&state); /* valid until the next step */"
    return f"int32_t k = {name}_predict(&state);      /* at any time; {name}_logits gives all integer logits */"


def _sizes(frozen: FrozenModel, kernels: Kernels) -> str:
    layers = ", ".join(f"{layer.cell} of {layer.hidden_size}" for layer in frozen.flat_layers) or "none"
    rows = [
        ("inputs", frozen.input_size),
        ("layers", layers),
        ("outputs", frozen.output_size),
        ("bits of inputs and hidden states", frozen.state_bits),
        ("kernels", kernels),
        ("constants, bytes of flash", frozen.cost().flash_bytes),
        ("state and working memory, bytes of RAM", 2 * sum(state_sizes(frozen, kernels))),
    ]
    return "| | |\n|---|---|\n" + "".join(f"| {key} | {value} |\n" for key, value in rows)


def _classes(frozen: FrozenModel) -> str:
    if frozen.readout is None:
        return ""
    names = "".join(f"- {k}: {text}\n" for k, text in enumerate(frozen.class_names))
    return f"\nThe real logit is the integer logit times {frozen.output_scale!r}.\n\n## Classes\n\n{names}"
