"""The loop over time by our C kernel (``csrc``): any gates, one layer and direction a call, CPU."""

import torch
from torch import Tensor

from bitgate.ops import native_backward, native_kernel
from bitgate.ops.native_op import recurrent_layer
from bitgate.ops.problem import LayerParameters, LoopResult, Recurrence

__all__ = ["native_backward", "refusal", "run"]


def refusal(recurrence: Recurrence, params: LayerParameters) -> str | None:
    """Why this backend cannot run the problem; None if it can."""
    weight = params.w_hh
    if native_kernel.extension is None:
        return "it was not built (no C compiler at installation)"
    if params.is_random or not isinstance(weight, Tensor):
        return "it cannot draw pre-activations (lr-trick)"
    if params.w_hr is not None:
        return "it has no projection (proj_size)"
    if weight.device.type != "cpu":
        return f"it runs on the CPU, not on {weight.device.type}"
    if weight.dtype not in native_kernel.DTYPES:
        return f"it computes in float32 and float64, not in {weight.dtype}"
    if torch.is_autocast_enabled("cpu"):
        return "it has no mixed precision (torch.autocast)"
    return None


def run(
    recurrence: Recurrence, x: Tensor, h: Tensor, c: Tensor | None, params: LayerParameters, lengths: Tensor | None
) -> LoopResult:
    """One layer in one direction; arguments and result as in ``reference.run``."""
    assert isinstance(params.w_ih, Tensor)
    assert isinstance(params.w_hh, Tensor)
    tensors = (x, h, c, params.w_ih, params.w_hh, params.bias_ih, params.bias_hh)
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
    output, h_n, c_n, *_ = recurrent_layer(*tensors, lengths, recurrence.cell, list(recurrence.gates), keep)
    return LoopResult(output, h_n, None if c is None else c_n)
