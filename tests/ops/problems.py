"""Drawn problems for the loop over time."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from bitgate.cells import CELL_GATES, CellKind
from bitgate.ops import LayerParameters, LoopResult, Moments, Recurrence, recurrent


@dataclass(frozen=True)
class Problem:
    """One layer in one direction; ``gain`` scales the weights, which are standard normal.

    With ``is_random`` weights are given by their moments (lr-trick), and ``noise_seed`` gives the noise.
    """

    cell: CellKind = "lstm"
    gates: tuple[int, ...] = (0, 0, 0, 0)
    hidden: int = 4
    features: int = 3
    projection: int = 0
    lengths: tuple[int, ...] | None = (5, 3, 1)
    batch: int = 3
    steps: int = 5
    bias: bool = True
    reverse: bool = False
    seed: int = 0
    gain: float = 1.0
    is_random: bool = False
    noise_seed: int = 0

    def tensors(self, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
        """Inputs, states and parameters, leaves that need gradients."""
        generator = torch.Generator().manual_seed(self.seed)
        rows, out = len(CELL_GATES[self.cell]) * self.hidden, self.projection or self.hidden
        shapes: dict[str, tuple[int, ...]] = {
            "x": (self.steps, self.batch, self.features),
            "h": (self.batch, out),
            "c": (self.batch, self.hidden),
            "w_ih": (rows, self.features),
            "w_hh": (rows, out),
        }
        shapes |= {"w_hr": (self.projection, self.hidden)} if self.projection else {}
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)} if self.bias else {}
        if self.cell == "gru":
            del shapes["c"]
        values = {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
        values |= {name: self.gain * values[name] for name in ("w_ih", "w_hh")}
        if self.is_random:
            matrices = [name for name in ("w_ih", "w_hh", "w_hr") if name in values]
            values |= {
                "v" + name[1:]: torch.rand(shapes[name], generator=generator, dtype=torch.float64) * self.gain**2
                for name in matrices
            }
        return {name: value.to(dtype).requires_grad_() for name, value in values.items()}

    def noise(self, dtype: torch.dtype = torch.float64) -> Tensor | None:
        """Noise of the lr-trick, None for plain weights."""
        if not self.is_random:
            return None
        size = (4 if self.cell == "gru" else len(CELL_GATES[self.cell])) * self.hidden + self.projection
        generator = torch.Generator().manual_seed(self.noise_seed)
        return torch.randn((self.steps, self.batch, size), generator=generator, dtype=torch.float64).to(dtype)

    def run(self, tensors: dict[str, Tensor], backend: str) -> LoopResult:
        params: dict[str, Any] = {k: tensors.get(k) for k in ("w_ih", "w_hh", "bias_ih", "bias_hh", "w_hr")}
        variances = {k: tensors["v" + k[1:]] for k in params if "v" + k[1:] in tensors}
        params |= {name: Moments(params[name], var) for name, var in variances.items()}
        return recurrent(
            Recurrence(self.cell, self.gates),
            tensors["x"],
            tensors["h"],
            tensors.get("c"),
            LayerParameters(**params),
            lengths=None if self.lengths is None else torch.tensor(self.lengths),
            reverse=self.reverse,
            noise=self.noise(tensors["x"].dtype),
            backend=backend,
        )

    def with_gradients(self, backend: str, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
        """Outputs, states and all gradients of a random linear function of them."""
        tensors = self.tensors(dtype)
        found = {k: v for k, v in self.run(tensors, backend)._asdict().items() if v is not None}
        generator = torch.Generator().manual_seed(1)
        loss = sum(
            (v * torch.randn(v.shape, generator=generator, dtype=torch.float64).to(dtype)).sum() for v in found.values()
        )
        grads = torch.autograd.grad(loss, list(tensors.values()))  # type: ignore[arg-type]
        return {k: v.detach() for k, v in found.items()} | {
            f"gradient of {k}": g for k, g in zip(tensors, grads, strict=True)
        }

    def but(self, **changes: Any) -> "Problem":
        return replace(self, **changes)


@st.composite
def problems(draw: st.DrawFn, smooth: bool = False, plain: bool = False) -> Problem:
    """Any cell with any gates, projections, lengths and directions; weights random or, if not ``plain``, by moments."""
    cell = draw(st.sampled_from(sorted(CELL_GATES)))
    hidden = draw(st.integers(1, 4))
    batch, steps = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    lengths = st.lists(st.integers(1, steps), min_size=batch, max_size=batch)
    descending = lengths.map(lambda found: tuple(sorted(found, reverse=True)))
    levels = st.sampled_from([0] if smooth else [0, 2, 3, 4, 8])
    return Problem(
        cell=cell,
        gates=tuple(draw(levels) for _ in CELL_GATES[cell]),
        hidden=hidden,
        features=draw(st.integers(1, 3)),
        projection=draw(st.integers(0, hidden - 1)) if cell != "gru" else 0,
        lengths=draw(st.none() | descending),
        batch=batch,
        steps=steps,
        bias=draw(st.booleans()),
        reverse=draw(st.booleans()),
        seed=draw(st.integers(0, 999)),
        is_random=not plain and draw(st.booleans()),
    )
