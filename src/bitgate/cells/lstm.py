"""The LSTM cell, its coupled form, and what an additive skip makes of its hidden state."""

import torch
from torch import Tensor

from bitgate.gates import GateLevels, activate


def lstm_step(preact: Tensor, c: Tensor, gates: GateLevels) -> tuple[Tensor, Tensor]:
    """One step of the LSTM: ``c' = f c + i g``, ``h' = o tanh(c')``.

    Args:
        preact: ``(B, 4 H)`` in the order i, f, g, o.
        c: ``(B, H)``.
        gates: level counts in the same order.

    Returns:
        ``h'`` and ``c'``.
    """
    i, f, g, o = _open(preact, "ifgo", gates)
    c = f * c + i * g
    return o * torch.tanh(c), c


def coupled_lstm_step(preact: Tensor, c: Tensor, gates: GateLevels) -> tuple[Tensor, Tensor]:
    """One step of the LSTM with coupled input and forget gates ([DLSTM] section 1.1): ``c' = (1 - i) c + i g``.

    Args:
        preact: ``(B, 3 H)`` in the order i, g, o.
        c: ``(B, H)``.
        gates: level counts in the same order.

    Returns:
        ``h' = o tanh(c')`` and ``c'``.
    """
    i, g, o = _open(preact, "igo", gates)
    c = (1 - i) * c + i * g
    return o * torch.tanh(c), c


def forget_gate(preact: Tensor, gates: GateLevels) -> Tensor:
    """The forget gate ``(B, H)`` of an LSTM (four gates) or a coupled one (three: ``1 - i``)."""
    if len(gates) == 4:
        return activate(preact.chunk(4, 1)[1], "f", gates[1])
    return 1 - activate(preact.chunk(3, 1)[0], "i", gates[0])


def step_skip(new_h: Tensor, h: Tensor, f: Tensor, alpha: Tensor, *, is_bounded: bool) -> Tensor:
    """The additive skip at every step ([QL], our definition): ``f' h + (1 - f) new_h + alpha h``.

    ``f' = (1 - alpha) f`` where ``is_bounded``: then ``|h| <= 1 / (1 - alpha)`` always. With ``f' = f`` the hidden
    state grows without bound wherever ``f + alpha > 1``.
    """
    kept = (1 - alpha) * f if is_bounded else f
    return (kept + alpha) * h + (1 - f) * new_h


def _open(preact: Tensor, letters: str, gates: GateLevels) -> list[Tensor]:
    blocks = preact.chunk(len(letters), 1)
    return [activate(a, k, n) for a, k, n in zip(blocks, letters, gates, strict=True)]
