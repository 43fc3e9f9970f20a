"""The loop over time by our C kernel (``csrc``): any gates, one layer and direction a call, CPU.

bfloat16 is converted at the border: states, sums and gradients inside are float32.
"""

import torch
from torch import Tensor

from bitgate.ops import native_backward, native_kernel
from bitgate.ops.expand import expand
from bitgate.ops.native_kernel import encode_skip
from bitgate.ops.problem import LayerParameters, LoopResult, Matrix, Moments, Recurrence, next_position

__all__ = ["refusal", "run"]


def refusal(recurrence: Recurrence, params: LayerParameters) -> str | None:
    """Why this backend cannot run the problem; None if it can."""
    weight = _parts(params.w_hh)[0]
    if native_kernel.extension is None:
        return "it was not built (no C compiler at installation)"
    if params.w_hr is not None:
        return "it has no projection (proj_size)"
    if isinstance(params.w_ih, Moments) != isinstance(params.w_hh, Moments):
        return "it draws pre-activations (lr-trick) for both weight matrices or for none"
    if params.is_random and _needs_expansion(recurrence):
        return "it cannot draw pre-activations (lr-trick) of a GRU that shares projections, or of a gated RNN"
    if weight.device.type != "cpu":
        return f"it runs on the CPU, not on {weight.device.type}"
    if weight.dtype not in (*native_kernel.DTYPES, torch.bfloat16):
        return f"it takes bfloat16, float32 and float64, not {weight.dtype}"
    if torch.is_autocast_enabled("cpu"):
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
    """One layer in one direction; arguments and result as in ``reference.run``, but no noise is drawn."""
    if _needs_expansion(recurrence):
        recurrence, params = expand(recurrence, params)
    (w_ih, v_ih), (w_hh, v_hh) = _parts(params.w_ih), _parts(params.w_hh)
    alpha = params.skip_scale
    given = [x, h, c, w_ih, w_hh, params.bias_ih, params.bias_hh, v_ih, v_hh, params.gate_scale, alpha, anchor, noise]
    is_half = any(t is not None and t.dtype == torch.bfloat16 for t in given)
    if is_half:
        given = [None if t is None else t.float() for t in given]
    if given[10] is not None:
        given[10] = given[10].expand(h.shape[1])
    *tensors, noise = given
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
    sharing, skip = list(recurrence.sharing or ()), encode_skip(recurrence.skip)
    bits = recurrence.state_bits or 0
    output, *last = native_backward.layer(
        *tensors, noise, position, lengths, recurrence.cell, list(recurrence.gates), sharing, skip, bits, keep
    )[:4]
    if is_half:
        pairs = zip((x, h, c, anchor), (output, *last), strict=True)
        output, *last = [end if start is None else end.to(start.dtype) for start, end in pairs]
    return LoopResult(
        output,
        last[0],
        None if c is None else last[1],
        None if anchor is None else last[2],
        next_position(recurrence.skip, position, lengths, x.shape[0]),
    )


def _needs_expansion(recurrence: Recurrence) -> bool:
    return recurrence.cell == "gated_rnn" or (recurrence.cell == "gru" and recurrence.sharing is not None)


def _parts(matrix: Matrix) -> tuple[Tensor, Tensor | None]:
    """A plain matrix, or mean and variance."""
    return (matrix.mean, matrix.var) if isinstance(matrix, Moments) else (matrix, None)
