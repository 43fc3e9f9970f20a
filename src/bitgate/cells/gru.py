"""The GRU cell, in the form of torch.nn.GRU."""

from torch import Tensor

from bitgate.gates import GateLevels, activate


def gru_step(preact_rz: Tensor, input_n: Tensor, hidden_n: Tensor, h: Tensor, gates: GateLevels) -> Tensor:
    """One step of the GRU: ``n = tanh(input_n + r hidden_n)``, ``h' = (1 - z) n + z h``.

    Args:
        preact_rz: ``(B, 2 H)`` in the order r, z.
        input_n: ``(B, H)``, the input's part of the candidate's pre-activation.
        hidden_n: ``(B, H)``, the hidden state's part.
        h: ``(B, H)``.
        gates: level counts in the order r, z, n.

    Returns:
        ``h'``.
    """
    r, z = (activate(a, k, n) for a, k, n in zip(preact_rz.chunk(2, 1), "rz", gates[:2], strict=True))
    n = activate(input_n + r * hidden_n, "n", gates[2])
    return (1 - z) * n + z * h
