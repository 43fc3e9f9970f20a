"""The LSTM cell and its coupled form."""

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
    i, f, g, o = (activate(a, k, n) for a, k, n in zip(preact.chunk(4, 1), "ifgo", gates, strict=True))
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
    i, g, o = (activate(a, k, n) for a, k, n in zip(preact.chunk(3, 1), "igo", gates, strict=True))
    c = (1 - i) * c + i * g
    return o * torch.tanh(c), c
