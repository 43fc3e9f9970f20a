"""The same layer in terms that a kernel without sharing knows; exact, and differentiable by torch.

``W_g = gate_scale_g * W_map(g)`` row by row; and a gated RNN is a GRU whose reset gate stands at 1.
"""

from dataclasses import replace

import torch
from torch import Tensor

from bitgate.ops.problem import LayerParameters, Matrix, Recurrence

_OPEN = 40.0
"""sigmoid(40) is 1 in float64, and its derivative 0."""


def expand(recurrence: Recurrence, params: LayerParameters) -> tuple[Recurrence, LayerParameters]:
    """An LSTM, coupled LSTM or GRU without sharing, or what it is already; not of moments (draws would part)."""
    if recurrence.sharing is not None:
        scale = params.gate_scale
        assert scale is not None
        w_ih, w_hh = (_share(w, recurrence.sharing) * scale.unsqueeze(1) for w in (params.w_ih, params.w_hh))
        params = replace(params, w_ih=w_ih, w_hh=w_hh, gate_scale=None)
        recurrence = replace(recurrence, sharing=None)
    if recurrence.cell == "gated_rnn":
        recurrence, params = _into_gru(recurrence, params)
    return recurrence, params


def _share(weight: Matrix, sharing: tuple[int, ...]) -> Tensor:
    assert isinstance(weight, Tensor)
    blocks = weight.chunk(max(sharing) + 1)
    return torch.cat([blocks[p] for p in sharing])


def _into_gru(recurrence: Recurrence, params: LayerParameters) -> tuple[Recurrence, LayerParameters]:
    w_ih, w_hh = params.w_ih, params.w_hh
    assert isinstance(w_ih, Tensor) and isinstance(w_hh, Tensor)  # noqa: PT018
    size = w_hh.shape[1]
    given = [bias for bias in (params.bias_ih, params.bias_hh) if bias is not None]
    bias = torch.stack(given).sum(0) if given else w_hh.new_zeros(2 * size)
    params = replace(
        params,
        w_ih=torch.cat([w_ih.new_zeros(size, w_ih.shape[1]), w_ih]),
        w_hh=torch.cat([w_hh.new_zeros(size, size), w_hh]),
        bias_ih=torch.cat([bias.new_full((size,), _OPEN), bias]),
        bias_hh=None,
    )
    return replace(recurrence, cell="gru", gates=(0, *recurrence.gates)), params
