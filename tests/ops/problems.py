"""Drawn problems for the loop over time."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from bitgate.cells import CELL_GATES, CellKind
from bitgate.ops import LayerParameters, LoopResult, Moments, Recurrence, Skip, recurrent


@dataclass(frozen=True)
class Problem:
    """One layer in one direction; ``gain`` scales the weights, which are standard normal.

    With ``is_random`` weights are given by their moments (lr-trick), and ``noise_seed`` gives the noise. With a skip
    alpha is one number, or one a unit (``per_unit``); sequences begin inside a block where ``begins_inside``.
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
    sharing: tuple[int, ...] | None = None
    skip: Skip | None = None
    per_unit: bool = False
    begins_inside: bool = True

    @property
    def recurrence(self) -> Recurrence:
        return Recurrence(self.cell, self.gates, self.sharing, self.skip)

    def positions(self) -> Tensor | None:
        """Steps run in the block before, of each sequence."""
        if self.skip is None or self.skip.kind != "block" or not self.begins_inside:
            return None
        return torch.randint(0, self.skip.block_size, (self.batch,), generator=torch.Generator().manual_seed(self.seed))

    def tensors(self, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
        """Inputs, states and parameters, leaves that need gradients."""
        generator = torch.Generator().manual_seed(self.seed)
        rows, out = self.recurrence.n_projections * self.hidden, self.projection or self.hidden
        gate_rows = len(CELL_GATES[self.cell]) * self.hidden
        shapes: dict[str, tuple[int, ...]] = {
            "x": (self.steps, self.batch, self.features),
            "h": (self.batch, out),
            "c": (self.batch, self.hidden),
            "w_ih": (rows, self.features),
            "w_hh": (rows, out),
        }
        shapes |= {"w_hr": (self.projection, self.hidden)} if self.projection else {}
        shapes |= {"bias_ih": (gate_rows,), "bias_hh": (gate_rows,)} if self.bias else {}
        if self.sharing is not None:
            shapes["gate_scale"] = (gate_rows,)
            if self.cell != "gru":
                shapes.pop("bias_hh", None)
        if self.skip is not None:
            shapes["skip_scale"] = (self.hidden,) if self.per_unit else ()
            if self.skip.kind == "block":
                shapes["anchor"] = (self.batch, self.hidden)
        if self.cell in ("gru", "gated_rnn"):
            del shapes["c"]
        values = {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
        values |= {name: self.gain * values[name] for name in ("w_ih", "w_hh")}
        if "skip_scale" in values:
            values["skip_scale"] = values["skip_scale"].sigmoid()
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
        n_blocks = self.recurrence.n_projections
        if self.cell == "gru":
            n_blocks = 4 if self.sharing is None else 2 * n_blocks
        size = n_blocks * self.hidden + self.projection
        generator = torch.Generator().manual_seed(self.noise_seed)
        return torch.randn((self.steps, self.batch, size), generator=generator, dtype=torch.float64).to(dtype)

    def run(self, tensors: dict[str, Tensor], backend: str) -> LoopResult:
        names = ("w_ih", "w_hh", "bias_ih", "bias_hh", "w_hr", "gate_scale", "skip_scale")
        params: dict[str, Any] = {k: tensors.get(k) for k in names}
        variances = {k: tensors["v" + k[1:]] for k in params if "v" + k[1:] in tensors}
        params |= {name: Moments(params[name], var) for name, var in variances.items()}
        return recurrent(
            self.recurrence,
            tensors["x"],
            tensors["h"],
            tensors.get("c"),
            LayerParameters(**params),
            lengths=None if self.lengths is None else torch.tensor(self.lengths),
            reverse=self.reverse,
            noise=self.noise(tensors["x"].dtype),
            anchor=tensors.get("anchor"),
            position=self.positions(),
            backend=backend,
        )

    def with_gradients(self, backend: str, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
        """Outputs, states and all gradients of a random linear function of them."""
        tensors = self.tensors(dtype)
        found = {k: v for k, v in self.run(tensors, backend)._asdict().items() if v is not None}
        generator = torch.Generator().manual_seed(1)
        loss = sum(
            (v * torch.randn(v.shape, generator=generator, dtype=torch.float64).to(dtype)).sum()
            for v in found.values()
            if v.is_floating_point()
        )
        # A skip whose first block has not ended yet leaves alpha out of the graph of the reference.
        grads = torch.autograd.grad(loss, list(tensors.values()), materialize_grads=True)  # type: ignore[arg-type]
        return {k: v.detach() for k, v in found.items()} | {
            f"gradient of {k}": g for k, g in zip(tensors, grads, strict=True)
        }

    def but(self, **changes: Any) -> "Problem":
        return replace(self, **changes)


def gate_maps(cell: CellKind) -> st.SearchStrategy[tuple[int, ...] | None]:
    """None, or any map of the cell's gates to projections numbered without gaps."""
    numbers = st.lists(st.integers(0, 3), min_size=len(CELL_GATES[cell]), max_size=len(CELL_GATES[cell]))
    dense = numbers.map(lambda found: tuple(sorted(set(found)).index(n) for n in found))
    return st.none() | dense


def skips(cell: CellKind) -> st.SearchStrategy[Skip | None]:
    """None, or any skip that the cell takes."""
    if cell not in ("lstm", "coupled_lstm"):
        return st.none()
    blocks = st.integers(1, 4).map(lambda size: Skip("block", size))
    return st.none() | blocks | st.booleans().map(lambda bounded: Skip("step", is_bounded=bounded))


@st.composite
def problems(draw: st.DrawFn, smooth: bool = False, plain: bool = False, no_skip: bool = False) -> Problem:
    """Any cell with any gates, maps, skips, projections, lengths and directions.

    Weights are random or, if not ``plain``, by moments.
    """
    cell = draw(st.sampled_from(sorted(CELL_GATES)))
    hidden = draw(st.integers(1, 4))
    batch, steps = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    lengths = st.lists(st.integers(1, steps), min_size=batch, max_size=batch)
    descending = lengths.map(lambda found: tuple(sorted(found, reverse=True)))
    levels = st.sampled_from([0] if smooth else [0, 2, 3, 4, 8])
    sharing, skip = draw(gate_maps(cell)), None if no_skip else draw(skips(cell))
    has_projection = cell in ("lstm", "coupled_lstm") and sharing is None and skip is None
    return Problem(
        cell=cell,
        gates=tuple(draw(levels) for _ in CELL_GATES[cell]),
        hidden=hidden,
        features=draw(st.integers(1, 3)),
        projection=draw(st.integers(0, hidden - 1)) if has_projection else 0,
        lengths=draw(st.none() | descending),
        batch=batch,
        steps=steps,
        bias=draw(st.booleans()),
        reverse=draw(st.booleans()),
        seed=draw(st.integers(0, 999)),
        is_random=not plain and draw(st.booleans()),
        sharing=sharing,
        skip=skip,
        per_unit=draw(st.booleans()),
        begins_inside=draw(st.booleans()),
    )
