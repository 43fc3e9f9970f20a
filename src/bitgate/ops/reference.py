"""The loop over time in plain PyTorch: the oracle of every other backend, and the only one for all options."""

import torch
import torch.nn.functional as F
from torch import Tensor

from bitgate.cells import coupled_lstm_step, gru_step, lstm_step
from bitgate.ops.problem import LayerParameters, LoopResult, Matrix, Moments, Recurrence, noise_shape

_SMALLEST_VARIANCE = 1e-12
"""Keeps the gradient of the standard deviation finite where every weight of a row has settled."""


def run(
    recurrence: Recurrence,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    params: LayerParameters,
    lengths: Tensor | None,
    noise: Tensor | None = None,
) -> LoopResult:
    """One layer in one direction over whole sequences.

    Args:
        recurrence: cell and gates.
        x: ``(T, B, I)``.
        h: ``(B, H or P)``.
        c: ``(B, H)``, None for a GRU.
        params: weights and biases.
        lengths: ``(B,)`` steps of each sequence; states stop at the end, outputs behind it are zero.
        noise: of the lr-trick, ``noise_shape`` tells its shape; drawn where it is None and the weights are random.
    """
    alive = None
    if lengths is not None:
        steps = torch.arange(x.shape[0], device=x.device)
        alive = (steps[:, None] < lengths.to(x.device)[None, :]).unsqueeze(-1).unbind(0)
    if noise is None and params.is_random:
        noise = torch.randn(noise_shape(recurrence, x, params), dtype=x.dtype, device=x.device)
    draws = [None] * x.shape[0] if noise is None else noise.unbind(0)
    step = _gru if recurrence.cell == "gru" else _lstm
    outputs = []
    # The input's part of all steps is one product; unbind makes one backward node instead of one a step.
    for t, projected in enumerate(_project_input(x, params)):
        new_h, new_c = step(recurrence, projected, h, c, params, draws[t])
        if alive is None:
            h, c = new_h, new_c
            outputs.append(h)
        else:
            h = torch.where(alive[t], new_h, h)
            c = torch.where(alive[t], new_c, c) if c is not None and new_c is not None else None
            outputs.append(torch.where(alive[t], h, torch.zeros_like(h)))
    return LoopResult(torch.stack(outputs), h, c)


def product(x: Tensor, weight: Matrix, bias: Tensor | None) -> Matrix:
    """``x W^T + b``; its mean and variance where the weight is random (the lr-trick)."""
    if isinstance(weight, Moments):
        return Moments(F.linear(x, weight.mean, bias), F.linear(x * x, weight.var))
    return F.linear(x, weight, bias)


def realize(value: Matrix, noise: Tensor | None = None) -> Tensor:
    """The value itself, or a Gaussian draw with its moments ([DLSTM] section 1.2, lr-trick).

    Args:
        value: the value or its moments.
        noise: standard normal, of the shape of the moments; drawn where None.
    """
    if isinstance(value, Moments):
        noise = torch.randn_like(value.mean) if noise is None else noise.to(value.mean.dtype)
        return torch.addcmul(value.mean, value.var.clamp_min(_SMALLEST_VARIANCE).sqrt(), noise)
    return value


def _add(a: Matrix, b: Matrix) -> Matrix:
    """Sum of independent values."""
    if isinstance(a, Moments) and isinstance(b, Moments):
        return Moments(a.mean + b.mean, a.var + b.var)
    if isinstance(a, Moments):
        assert isinstance(b, Tensor)
        return Moments(a.mean + b, a.var)
    if isinstance(b, Moments):
        return Moments(a + b.mean, b.var)
    return a + b


def _project_input(x: Tensor, params: LayerParameters) -> list[Matrix]:
    projected = product(x, params.w_ih, params.bias_ih)
    if isinstance(projected, Moments):
        return [Moments(m, v) for m, v in zip(projected.mean.unbind(0), projected.var.unbind(0), strict=True)]
    return list(projected.unbind(0))


def _lstm(
    recurrence: Recurrence,
    projected: Matrix,
    h: Tensor,
    c: Tensor | None,
    params: LayerParameters,
    noise: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    assert c is not None
    moments = _add(projected, product(h, params.w_hh, params.bias_hh))
    rows = recurrence.n_preacts * c.shape[1]
    preact = realize(moments, _part(noise, 0, rows))
    step = lstm_step if recurrence.cell == "lstm" else coupled_lstm_step
    h, c = step(preact, c, recurrence.gates)
    if params.w_hr is not None:
        h = realize(product(h, params.w_hr, None), _part(noise, rows, None))
    return h, c


def _part(noise: Tensor | None, start: int, stop: int | None) -> Tensor | None:
    return None if noise is None else noise[:, start:stop]


def _slice(value: Matrix, start: int, stop: int) -> Matrix:
    if isinstance(value, Moments):
        return Moments(value.mean[:, start:stop], value.var[:, start:stop])
    return value[:, start:stop]


def _gru(
    recurrence: Recurrence,
    projected: Matrix,
    h: Tensor,
    c: Tensor | None,
    params: LayerParameters,
    noise: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    hidden = product(h, params.w_hh, params.bias_hh)
    size = h.shape[1]
    preact_rz = realize(_add(_slice(projected, 0, 2 * size), _slice(hidden, 0, 2 * size)), _part(noise, 0, 2 * size))
    input_n = realize(_slice(projected, 2 * size, 3 * size), _part(noise, 2 * size, 3 * size))
    hidden_n = realize(_slice(hidden, 2 * size, 3 * size), _part(noise, 3 * size, 4 * size))
    return gru_step(preact_rz, input_n, hidden_n, h, recurrence.gates), None
