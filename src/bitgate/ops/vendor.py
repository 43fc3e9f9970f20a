"""The loop over time by PyTorch's own kernels (oneDNN, cuDNN), where they can express it.

The coupled cell with smooth gates is an LSTM whose forget rows are the negated input rows, because
``1 - sigmoid(a) = sigmoid(-a)`` (checked in the tests to rounding).
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from bitgate.cells import CellKind
from bitgate.ops.expand import expand
from bitgate.ops.problem import LayerParameters, LoopResult, Matrix, Recurrence


def refusal(recurrence: Recurrence, params: LayerParameters) -> str | None:
    """Why this backend cannot run the problem; None if it can."""
    if not recurrence.is_smooth:
        return "it has no staircase gates"
    if params.is_random:
        return "it cannot draw pre-activations (lr-trick)"
    if recurrence.skip is not None:
        return "it has no additive skip"
    if recurrence.cell in ("lstm", "coupled_lstm") and _is_cast_to_unsupported(params.w_hh):
        return "this processor has no LSTM kernel for the type of torch.autocast"
    return None


def _is_cast_to_unsupported(weight: Matrix) -> bool:
    """Whether autocast would hand oneDNN a type that it refuses on this processor, as torch.nn.LSTM does."""
    if not isinstance(weight, Tensor) or weight.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return False
    kernels: Any = torch.ops.mkldnn
    is_bfloat16 = torch.get_autocast_dtype("cpu") == torch.bfloat16
    return not (kernels._is_mkldnn_bf16_supported() if is_bfloat16 else kernels._is_mkldnn_fp16_supported())


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
    """One layer in one direction; arguments and result as in ``reference.run``, but what is optional is not read."""
    recurrence, params = expand(recurrence, params)
    flat, has_bias = _flat_weights(recurrence.cell, params)
    state = h.unsqueeze(0) if c is None else (h.unsqueeze(0), c.unsqueeze(0))
    kernel: Any = torch._VF.gru if c is None else torch._VF.lstm
    # One layer, no dropout, not training (dropout would be the only difference), one direction.
    if lengths is None:
        # With gradients oneDNN needs its training mode to keep what the backward pass reads.
        output, *last = kernel(x, state, flat, has_bias, 1, 0.0, torch.is_grad_enabled(), False, False)
    else:
        packed = pack_padded_sequence(x, lengths.cpu(), enforce_sorted=True)
        data, *last = kernel(packed.data, packed.batch_sizes, state, flat, has_bias, 1, 0.0, True, False)
        output, _ = pad_packed_sequence(PackedSequence(data, packed.batch_sizes), total_length=x.shape[0])
    return LoopResult(output, last[0].squeeze(0), None if c is None else last[1].squeeze(0))


def _negate_into_forget(rows: Tensor) -> Tensor:
    """Rows i, g, o of the coupled cell to rows i, f = -i, g, o."""
    size = rows.shape[0] // 3
    return torch.cat([rows[:size], -rows[:size], rows[size:]])


def _flat_weights(cell: CellKind, params: LayerParameters) -> tuple[list[Tensor], bool]:
    matrices = [params.w_ih, params.w_hh]
    biases = [params.bias_ih, params.bias_hh]
    tensors = [m for m in matrices if isinstance(m, Tensor)]
    given = [b for b in biases if b is not None]
    if cell == "coupled_lstm":
        tensors = [_negate_into_forget(m) for m in tensors]
        given = [_negate_into_forget(b) for b in given]
    if len(given) == 1:
        given.append(torch.zeros_like(given[0]))
    projection = [params.w_hr] if isinstance(params.w_hr, Tensor) else []
    return tensors + given + projection, bool(given)
