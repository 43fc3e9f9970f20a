"""The loop over time by our Triton kernels: any gates, one layer and direction a call, GPU.

bfloat16 is for weights and products; states, sums and gradients of states are float32, as are the pre-activations.
"""

import torch
from torch import Tensor

from bitgate.ops.problem import LayerParameters, LoopResult, Moments, Recurrence
from bitgate.ops.triton_launch import DTYPES, INTERPRETER_VARIABLE, is_installed, is_interpreted
from bitgate.ops.triton_op import triton_layer

CELLS = ("lstm", "coupled_lstm", "gru")


def refusal(recurrence: Recurrence, params: LayerParameters) -> str | None:
    """Why this backend cannot run the problem; None if it can."""
    weight = params.w_hh.mean if isinstance(params.w_hh, Moments) else params.w_hh
    if not is_installed():
        return "Triton is not installed (pip install 'bitgate[gpu]')"
    if weight.device.type != "cuda" and not (is_interpreted() and weight.device.type == "cpu"):
        return f"it runs on a GPU, not on {weight.device.type} (${INTERPRETER_VARIABLE}=1 interprets it there)"
    if recurrence.cell not in CELLS:
        return f"it has no kernel for the cell {recurrence.cell!r}"
    if params.is_random:
        return "it cannot draw pre-activations (lr-trick)"
    if recurrence.sharing is not None:
        return "it has no shared projections"
    if recurrence.skip is not None:
        return "it has no additive skip"
    if recurrence.state_bits is not None:
        return "it does not round states (state_bits)"
    if params.w_hr is not None:
        return "it has no projection (proj_size)"
    if weight.dtype not in DTYPES:
        return f"it takes bfloat16 and float32, not {weight.dtype}"
    if torch.is_autocast_enabled(weight.device.type):
        return "it has no mixed precision (torch.autocast)"
    return None


def run(
    recurrence: Recurrence,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    params: LayerParameters,
    lengths: Tensor | None,
    noise: Tensor | None = None,
    anchor: Tensor | None = None,
    position: Tensor | None = None,
) -> LoopResult:
    """One layer in one direction; arguments and result as in ``reference.run``; what follows lengths is not read."""
    assert isinstance(params.w_ih, Tensor)
    assert isinstance(params.w_hh, Tensor)
    tensors = (x, h, c, params.w_ih, params.w_hh, params.bias_ih, params.bias_hh)
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
    output, h_n, c_n, *_ = triton_layer(*tensors, lengths, recurrence.cell, list(recurrence.gates), keep)
    return LoopResult(output.to(x.dtype), h_n.to(h.dtype), None if c is None else c_n.to(c.dtype))
