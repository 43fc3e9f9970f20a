"""The simple gated RNN: a GRU without its reset gate (our definition)."""

from torch import Tensor

from bitgate.gates import GateLevels, activate


def gated_rnn_step(preact: Tensor, h: Tensor, gates: GateLevels) -> Tensor:
    """One step of the simple gated RNN: ``h' = (1 - z) n + z h``.

    Args:
        preact: ``(B, 2 H)`` in the order z, n.
        h: ``(B, H)``.
        gates: level counts in the same order.

    Returns:
        ``h'``.
    """
    z, n = (activate(a, k, levels) for a, k, levels in zip(preact.chunk(2, 1), "zn", gates, strict=True))
    return (1 - z) * n + z * h
