"""The loop over time in plain PyTorch: the oracle of every other backend, and the only one for all options."""

import torch
import torch.nn.functional as F
from torch import Tensor

from bitgate.cells import coupled_lstm_step, forget_gate, gated_rnn_step, gru_step, lstm_step, step_skip
from bitgate.ops.problem import LayerParameters, LoopResult, Matrix, Moments, Recurrence, next_position, noise_shape

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
    anchor: Tensor | None = None,
    position: Tensor | None = None,
) -> LoopResult:
    """One layer in one direction over whole sequences.

    Args:
        recurrence: cell, gates, sharing and skip.
        x: ``(T, B, I)``.
        h: ``(B, H or P)``.
        c: ``(B, H)``, None for a GRU or a gated RNN.
        params: weights and biases.
        lengths: ``(B,)`` steps of each sequence; states stop at the end, outputs behind it are zero.
        noise: of the lr-trick, ``noise_shape`` tells its shape; drawn where it is None and the weights are random.
        anchor: of a block skip, ``(B, H)``.
        position: of a block skip, ``(B,)``.
    """
    T = x.shape[0]
    alive = None
    if lengths is not None:
        steps = torch.arange(T, device=x.device)
        alive = (steps[:, None] < lengths.to(x.device)[None, :]).unsqueeze(-1)
        # Not even NaN behind an end may reach a gradient: zero times NaN would.
        x = x.masked_fill(~alive, 0.0)
    if noise is None and params.is_random:
        noise = torch.randn(noise_shape(recurrence, x, params), dtype=x.dtype, device=x.device)
    draws = [None] * T if noise is None else noise.unbind(0)
    living = [None] * T if alive is None else alive.unbind(0)
    ends = _block_ends(recurrence, position, T, x.device)
    outputs = []
    # The input's part of all steps is one product; unbind makes one backward node instead of one a step.
    for t, projected in enumerate(_project_input(recurrence, x, params)):
        new_h, new_c = _STEPS[recurrence.cell](recurrence, projected, h, c, params, draws[t])
        end, lives = ends[t], living[t]
        if end is not None and anchor is not None:
            assert params.skip_scale is not None
            new_h = torch.where(end, new_h + params.skip_scale * anchor, new_h)
            anchor = torch.where(end if lives is None else end & lives, new_h, anchor)
        h = new_h if lives is None else torch.where(lives, new_h, h)
        c = new_c if lives is None or c is None or new_c is None else torch.where(lives, new_c, c)
        outputs.append(h if lives is None else torch.where(lives, h, torch.zeros_like(h)))
    return LoopResult(torch.stack(outputs), h, c, anchor, next_position(recurrence.skip, position, lengths, T))


def _block_ends(recurrence: Recurrence, position: Tensor | None, T: int, device: torch.device) -> list[Tensor | None]:
    """For each step the sequences ``(B, 1)`` whose block ends there; None where of no sequence."""
    if position is None or recurrence.skip is None:
        return [None] * T
    ends = (position.cpu() + torch.arange(1, T + 1).unsqueeze(1)) % recurrence.skip.block_size == 0
    return [end.unsqueeze(1).to(device) if has_any else None for end, has_any in zip(ends, ends.any(1), strict=True)]


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


def _project_input(recurrence: Recurrence, x: Tensor, params: LayerParameters) -> list[Matrix]:
    projected = product(x, params.w_ih, params.bias_ih if recurrence.sharing is None else None)
    if isinstance(projected, Moments):
        return [Moments(m, v) for m, v in zip(projected.mean.unbind(0), projected.var.unbind(0), strict=True)]
    return list(projected.unbind(0))


def _to_gates(recurrence: Recurrence, u: Tensor, scale: Tensor | None, bias: Tensor | None) -> Tensor:
    """Pre-activations of the gates from those of the shared projections; without sharing they are the same."""
    if recurrence.sharing is None or scale is None:
        return u
    blocks = u.chunk(recurrence.n_projections, 1)
    preact = torch.cat([blocks[p] for p in recurrence.sharing], 1) * scale
    return preact if bias is None else preact + bias


def _preact(
    recurrence: Recurrence, projected: Matrix, h: Tensor, params: LayerParameters, noise: Tensor | None
) -> Tensor:
    """Pre-activations of all gates but a GRU's."""
    moments = _add(projected, product(h, params.w_hh, params.bias_hh if recurrence.sharing is None else None))
    rows = (moments.mean if isinstance(moments, Moments) else moments).shape[1]
    u = realize(moments, _part(noise, 0, rows))
    return _to_gates(recurrence, u, params.gate_scale, params.bias_ih)


def _lstm(
    recurrence: Recurrence,
    projected: Matrix,
    h: Tensor,
    c: Tensor | None,
    params: LayerParameters,
    noise: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    assert c is not None
    preact = _preact(recurrence, projected, h, params, noise)
    step = lstm_step if recurrence.cell == "lstm" else coupled_lstm_step
    new_h, c = step(preact, c, recurrence.gates)
    if recurrence.skip is not None and recurrence.skip.kind == "step":
        assert params.skip_scale is not None
        f = forget_gate(preact, recurrence.gates)
        new_h = step_skip(new_h, h, f, params.skip_scale, is_bounded=recurrence.skip.is_bounded)
    if params.w_hr is not None:
        new_h = realize(product(new_h, params.w_hr, None), _part(noise, recurrence.n_preacts * c.shape[1], None))
    return new_h, c


def _gated_rnn(
    recurrence: Recurrence,
    projected: Matrix,
    h: Tensor,
    c: Tensor | None,
    params: LayerParameters,
    noise: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    return gated_rnn_step(_preact(recurrence, projected, h, params, noise), h, recurrence.gates), None


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
    size = h.shape[1]
    if recurrence.sharing is not None:
        # The reset gate multiplies the hidden state's part of n alone, so both parts stay apart up to there.
        middle = recurrence.n_projections * size
        u_x = realize(projected, _part(noise, 0, middle))
        u_h = realize(product(h, params.w_hh, None), _part(noise, middle, None))
        of_x = _to_gates(recurrence, u_x, params.gate_scale, params.bias_ih)
        of_h = _to_gates(recurrence, u_h, params.gate_scale, params.bias_hh)
        preact_rz = of_x[:, : 2 * size] + of_h[:, : 2 * size]
        return gru_step(preact_rz, of_x[:, 2 * size :], of_h[:, 2 * size :], h, recurrence.gates), None
    hidden = product(h, params.w_hh, params.bias_hh)
    preact_rz = realize(_add(_slice(projected, 0, 2 * size), _slice(hidden, 0, 2 * size)), _part(noise, 0, 2 * size))
    input_n = realize(_slice(projected, 2 * size, 3 * size), _part(noise, 2 * size, 3 * size))
    hidden_n = realize(_slice(hidden, 2 * size, 3 * size), _part(noise, 3 * size, 4 * size))
    return gru_step(preact_rz, input_n, hidden_n, h, recurrence.gates), None


_STEPS = {"lstm": _lstm, "coupled_lstm": _lstm, "gru": _gru, "gated_rnn": _gated_rnn}
