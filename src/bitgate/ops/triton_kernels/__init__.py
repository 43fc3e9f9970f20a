"""The Triton kernels of the loop over time.

Imported only where they run: ``triton.jit`` decides at import whether the interpreter takes the place of the compiler.

Arrays are contiguous; T steps, B sequences, H units, G gates in the cell's order. ``preact`` ``(T, B, G, H)`` holds the
input's part on entry and, where gradients are wanted, the whole pre-activation on return (of a GRU's n the input's part
only; ``extra`` ``(T, B, H)`` holds the hidden state's). States, sums and gradients are float32; weights are float32 or
bfloat16, and what they are multiplied with is rounded to their type.
"""

from bitgate.ops.triton_kernels.backward import backward_held, backward_tiles
from bitgate.ops.triton_kernels.forward import forward_held, forward_tiles

__all__ = ["backward_held", "backward_tiles", "forward_held", "forward_tiles"]
