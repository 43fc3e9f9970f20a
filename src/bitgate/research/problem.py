"""A coupled LSTM with readout so small that all its discrete networks can be listed."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bitgate.cells import CELL_GATES
from bitgate.ops import LayerParameters, Matrix, Moments, Recurrence, product, realize
from bitgate.ops import reference as oracle
from bitgate.weights import BINARY, Levels

_RECURRENCE = Recurrence("coupled_lstm", (0, 0, 0))
_N_GATES = len(CELL_GATES["coupled_lstm"])


@dataclass(frozen=True)
class TinyProblem:
    """Data and fixed parameters of a coupled LSTM with readout, as a function of its discrete weights alone.

    The weights of a network are one vector ``(n_weights,)``: ``w_ih (3 H, I)``, ``w_hh (3 H, H)``, ``w_out (C, H)``,
    row by row. Everything is float64.
    """

    levels: Levels
    x: Tensor  # (T, B, I)
    labels: Tensor  # (B,) int64
    gate_scale: Tensor  # (3,)
    gate_bias: Tensor  # (3 H,)
    readout_scale: Tensor  # (1,)
    readout_bias: Tensor  # (C,)

    @property
    def shapes(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Shapes of ``w_ih``, ``w_hh`` and ``w_out``."""
        rows = len(self.gate_bias)
        hidden_size = rows // _N_GATES
        return (rows, self.x.shape[2]), (rows, hidden_size), (len(self.readout_bias), hidden_size)

    @property
    def n_weights(self) -> int:
        """Number of discrete weights."""
        return sum(math.prod(shape) for shape in self.shapes)

    def split(self, weights: Tensor) -> list[Tensor]:
        """``(n_weights,)`` to ``w_ih``, ``w_hh`` and ``w_out``, unscaled."""
        parts = torch.split(weights, [math.prod(shape) for shape in self.shapes])
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def losses(self, weights: Tensor) -> Tensor:
        """Mean cross-entropy of the batch for many networks at once: ``(S, n_weights)`` to ``(S,)``."""

        def loss(one: Tensor) -> Tensor:
            return self._loss([w * s for w, s in zip(self.split(one), self._scales(), strict=True)])

        return torch.func.vmap(loss)(weights)

    def losses_by_moments(self, mean: Tensor, var: Tensor) -> Tensor:
        """The same with Gaussian pre-activations drawn anew for every step, sequence and row (lr-trick).

        The noise is that of bitgate.ops, from torch's global generator.

        Args:
            mean: ``(S, n_weights)``.
            var: ``(S, n_weights)``.
        """

        def loss(one_mean: Tensor, one_var: Tensor) -> Tensor:
            parts = zip(self.split(one_mean), self.split(one_var), self._scales(), strict=True)
            return self._loss([Moments(m * s, v * s.square()) for m, v, s in parts])

        return torch.func.vmap(loss, randomness="different")(mean, var)

    def _scales(self) -> list[Tensor]:
        rows = self.gate_scale.repeat_interleave(len(self.gate_bias) // _N_GATES).unsqueeze(1)
        return [rows, rows, self.readout_scale]

    def _loss(self, matrices: list[Matrix]) -> Tensor:
        w_ih, w_hh, w_out = matrices
        state = self.x.new_zeros(self.x.shape[1], len(self.gate_bias) // _N_GATES)
        # The oracle and not recurrent(): only plain operations can be vectorized over networks.
        result = oracle.run(_RECURRENCE, self.x, state, state, LayerParameters(w_ih, w_hh, self.gate_bias), None)
        return F.cross_entropy(realize(product(result.h, w_out, self.readout_bias)), self.labels)


def make_problem(
    levels: Levels = BINARY, *, input_size: int = 2, n_classes: int = 3, n_steps: int = 6, batch_size: int = 12
) -> TinyProblem:
    """The fixed synthetic problem of docs/estimators.md: noisy sine waves and one hidden unit.

    The classes are equally large: the sequences in the order of the recent past of their first input,
    ``sum_t 0.7^(T-1-t) x_t``. With two inputs there are 12 weights: 4096 binary networks. With one input there are 9:
    19683 ternary networks.

    Args:
        levels: values of every weight.
        input_size: I.
        n_classes: C.
        n_steps: T.
        batch_size: B.
    """
    generator = torch.Generator().manual_seed(2026)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    steps = torch.arange(n_steps, dtype=torch.float64).view(-1, 1, 1)
    waves = torch.sin(steps * (0.5 + normal(batch_size, input_size).abs()) + 3 * normal(batch_size, input_size))
    x = 1.5 * waves + 0.3 * normal(n_steps, batch_size, input_size)
    recent = (0.7 ** steps.flip(0) * x)[:, :, 0].sum(dim=0)
    one = torch.ones(1, dtype=torch.float64)
    return TinyProblem(
        levels=levels,
        x=x,
        labels=recent.argsort().argsort() * n_classes // batch_size,
        gate_scale=one.expand(_N_GATES) * 1.5,
        gate_bias=0.5 * normal(_N_GATES),
        readout_scale=one * 2,
        readout_bias=0.3 * normal(n_classes),
    )
