"""How long a recurrent layer remembers: forget gates, hidden states and gradients over distance, and its states' range.

The analyses of [QL]'s ablation, as functions of plain tensors ``(T, B, H)``, time first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bitgate.errors import ShapeError, UnsupportedError
from bitgate.gates import activate
from bitgate.nn import QLState, RecurrentModule
from bitgate.ops import Moments
from bitgate.ops.expand import expand

_CARRYING = {"lstm": (1, "f"), "coupled_lstm": (0, "i"), "gru": (1, "z")}
"""Row block and letter of the gate that says how much of the old state is kept; a coupled LSTM keeps 1 - i."""


@torch.no_grad()
def forget_gates(layer: RecurrentModule, x: Tensor) -> tuple[Tensor, Tensor]:
    """The gate that keeps the old state at every step, and hidden states, both ``(T, B, H)``.

    That is f of an LSTM, ``1 - i`` of a coupled one, z of a GRU and of a gated RNN.

    Args:
        layer: one layer in one direction without projection, in ``eval()``, batch first.
        x: ``(B, T, I)``.

    Raises:
        UnsupportedError: more layers, directions or a projection.
    """
    if layer.num_layers != 1 or layer.bidirectional or layer.proj_size:
        raise UnsupportedError("forget_gates: expected one layer in one direction without projection")
    h = layer(x)[0].transpose(0, 1)
    before = torch.cat([torch.zeros_like(h[:1]), h[:-1]])
    recurrence, params = expand(layer.recurrence, layer._layer_parameters("_l0"))
    assert not isinstance(params.w_ih, Moments)
    assert not isinstance(params.w_hh, Moments)
    block, letter = _CARRYING[recurrence.cell]
    rows = slice(block * layer.hidden_size, (block + 1) * layer.hidden_size)
    preact = x.transpose(0, 1) @ params.w_ih[rows].T + before @ params.w_hh[rows].T
    for bias in (params.bias_ih, params.bias_hh):
        preact = preact if bias is None else preact + bias[rows]
    gate = activate(preact, letter, recurrence.gates[block])
    return (1 - gate if recurrence.cell == "coupled_lstm" else gate), h


def forget_products(gates: Tensor, distances: Sequence[int]) -> Tensor:
    """Mean over starts and sequences of ``prod_{k=1..d} f_{t+k}`` for every distance d and unit: ``(D, H)``, float64.

    What the forget gates alone leave of a cell state after d steps.
    """
    _check(distances, len(gates))
    logs = gates.double().clamp_min(1e-300).log().cumsum(0)
    logs = torch.cat([torch.zeros_like(logs[:1]), logs])
    return torch.stack([(logs[d:] - logs[: len(logs) - d]).exp().mean(dim=(0, 1)) for d in distances])


def cosine_over_distance(h: Tensor, distances: Sequence[int]) -> Tensor:
    """Mean over steps and sequences of the cosine between ``h_t`` and ``h_{t+d}``, for every distance: ``(D,)``."""
    _check(distances, len(h) - 1)
    pairs = [torch.nn.functional.cosine_similarity(h[d:], h[: len(h) - d], dim=-1) for d in distances]
    return torch.stack([pair.mean() for pair in pairs])


def gradient_norms(last_state: Callable[[Tensor], Tensor], x: Tensor, *, seed: int = 0) -> Tensor:
    """Norm of the gradient that reaches step T - d from the last hidden state, for d = 0 ... T - 1: ``(T,)``.

    The gradient is that of a random unit combination of the last state, taken with respect to the input of a step;
    norms are averaged over the sequences. It is not scaled: entry 0 is the last step.

    Args:
        last_state: from ``(B, T, I)`` to the hidden state at the end ``(B, H)``.
        x: ``(B, T, I)``, all sequences equally long.
        seed: of the combination.
    """
    x = x.detach().clone().requires_grad_()
    state = last_state(x)
    direction = torch.randn(state.shape, generator=torch.Generator().manual_seed(seed), dtype=state.dtype)
    direction = direction / direction.norm(dim=-1, keepdim=True)
    (gradient,) = torch.autograd.grad((state * direction).sum(), x)
    return gradient.norm(dim=-1).mean(dim=0).flip(0)


@dataclass(frozen=True)
class StateRange:
    """Largest magnitudes of hidden and cell state within consecutive pieces of a long sequence.

    Attributes:
        steps: last step of each piece.
        h: largest ``|h|`` of each piece, over sequences, units and steps.
        c: largest ``|c|`` at each piece's end; empty for a cell without c.
    """

    steps: tuple[int, ...]
    h: tuple[float, ...]
    c: tuple[float, ...]

    @property
    def is_finite(self) -> bool:
        """Whether no NaN and no overflow was seen."""
        return bool(torch.tensor([*self.h, *self.c], dtype=torch.float64).isfinite().all())


@torch.no_grad()
def state_range(layer: RecurrentModule, x: Tensor, *, piece: int = 100) -> StateRange:
    """Runs a layer over ``x (B, T, I)`` piece by piece with its state carried, and tells how large it becomes."""
    steps: list[int] = []
    largest_h: list[float] = []
    largest_c: list[float] = []
    state: Tensor | QLState | tuple[Tensor, Tensor] | None = None
    for begin in range(0, x.shape[1], piece):
        part = x[:, begin : begin + piece]
        output, state = layer(part, state)
        steps.append(begin + part.shape[1])
        largest_h.append(_largest(output))
        if not isinstance(state, Tensor):
            largest_c.append(_largest(state[1]))
    return StateRange(tuple(steps), tuple(largest_h), tuple(largest_c))


def _largest(values: Tensor) -> float:
    """Largest magnitude; NaN if there is one."""
    return float(values.abs().max())


def _check(distances: Sequence[int], longest: int) -> None:
    if not distances or min(distances) < 1 or max(distances) > longest:
        raise ShapeError(f"distances: {list(distances)}, expected some from 1 to {longest}")
