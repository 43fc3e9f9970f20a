"""Drawn arguments of recurrent modules, and everything that one forward and backward pass makes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import bitgate.nn
from tests.tolerances import EXACT, Tolerance, assert_near

BACKENDS = ("vendor", "reference")
Results = dict[str, Tensor]


@dataclass(frozen=True)
class Case:
    """One set of arguments and one input."""

    kind: str = "LSTM"
    input_size: int = 3
    hidden_size: int = 4
    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    dropout: float = 0.0
    bidirectional: bool = False
    proj_size: int = 0
    form: str = "padded"  # padded, unbatched, sorted or unsorted (the last two packed)
    lengths: tuple[int, ...] = (5, 3, 2)
    initial: bool = True
    training: bool = True
    seed: int = 0

    @property
    def arguments(self) -> dict[str, Any]:
        names = ["input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional"]
        names += ["proj_size"] if self.kind == "LSTM" else []
        return {name: getattr(self, name) for name in names}

    def theirs(self) -> Any:
        """torch.nn's module, float64."""
        torch.manual_seed(self.seed)
        return getattr(nn, self.kind)(**self.arguments, dtype=torch.float64).train(self.training)

    def ours(self, theirs: nn.Module, **options: Any) -> Any:
        """bitgate's module with the same parameters."""
        module = getattr(bitgate.nn, self.kind)(**self.arguments, dtype=torch.float64, **options)
        module.load_state_dict(theirs.state_dict(), strict=True)
        return module.train(self.training)


@st.composite
def cases(draw: st.DrawFn, kind: str, largest: int = 4) -> Case:
    """Any combination of arguments and input forms; T = 1 and B = 1 included."""
    num_layers = draw(st.integers(1, 3))
    hidden_size = draw(st.integers(1, largest))
    form = draw(st.sampled_from(["padded", "unbatched", "sorted", "unsorted"]))
    lengths = draw(st.lists(st.integers(1, largest + 2), min_size=1, max_size=1 if form == "unbatched" else largest))
    return Case(
        kind=kind,
        input_size=draw(st.integers(1, largest)),
        hidden_size=hidden_size,
        num_layers=num_layers,
        bias=draw(st.booleans()),
        batch_first=draw(st.booleans()),
        dropout=draw(st.sampled_from([0.0, 0.4])) if num_layers > 1 else 0.0,
        bidirectional=draw(st.booleans()),
        proj_size=draw(st.integers(0, hidden_size - 1)) if kind == "LSTM" else 0,
        form=form,
        lengths=tuple(sorted(lengths, reverse=True)) if form == "sorted" else tuple(lengths),
        initial=draw(st.booleans()),
        training=draw(st.booleans()),
        seed=draw(st.integers(0, 999)),
    )


@contextmanager
def backend(name: str) -> Iterator[None]:
    """Forces a backend."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BITGATE_BACKEND", name)
        yield
    assert "BITGATE_BACKEND" not in os.environ


def make_inputs(case: Case) -> dict[str, Tensor]:
    """Leaves ``x``, ``h_0`` and ``c_0``."""
    generator = torch.Generator().manual_seed(case.seed)

    def leaf(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    batch = [] if case.form == "unbatched" else [len(case.lengths)]
    steps = max(case.lengths)
    time_first = not (case.batch_first and batch)
    x = leaf(*([steps, *batch] if time_first else [*batch, steps]), case.input_size)
    leaves = {"x": x}
    if case.initial:
        rows = case.num_layers * (2 if case.bidirectional else 1)
        leaves["h_0"] = leaf(rows, *batch, case.proj_size or case.hidden_size)
        leaves |= {"c_0": leaf(rows, *batch, case.hidden_size)} if case.kind == "LSTM" else {}
    return leaves


def run(module: Any, case: Case, leaves: dict[str, Tensor], **options: Any) -> Results:
    """Outputs, states, the gradients of every leaf and parameter, and torch's random state behind it all."""
    x: Tensor | PackedSequence = leaves["x"]
    if case.form in ("sorted", "unsorted"):
        lengths = torch.tensor(case.lengths)
        x = pack_padded_sequence(leaves["x"], lengths, case.batch_first, enforce_sorted=case.form == "sorted")
    states = tuple(leaves[name] for name in ("h_0", "c_0") if name in leaves)
    hx = (states if case.kind == "LSTM" else states[0]) if states else None
    torch.manual_seed(case.seed + 1)
    output, last = module(x, hx, **options)
    results: Results = {}
    if isinstance(output, PackedSequence):
        results |= {"batch_sizes": output.batch_sizes, "output": output.data}
        if output.sorted_indices is not None and output.unsorted_indices is not None:
            results |= {"sorted_indices": output.sorted_indices, "unsorted_indices": output.unsorted_indices}
    else:
        results["output"] = output
    results |= dict(zip(("h_n", "c_n"), last, strict=True)) if case.kind == "LSTM" else {"h_n": last}
    results["random state"] = torch.get_rng_state()
    return {name: value.detach() for name, value in results.items()} | gradients(module, leaves, results)


def gradients(module: nn.Module, leaves: dict[str, Tensor], results: Results) -> Results:
    """Gradients of a random linear function of the output and all states."""
    generator = torch.Generator().manual_seed(7)
    loss = torch.zeros((), dtype=torch.float64)
    for name in ("output", "h_n", "c_n"):
        if name in results:
            value = results[name]
            loss = loss + (value * torch.randn(value.shape, generator=generator, dtype=torch.float64)).sum()
    targets = leaves | {f"parameter {name}": p for name, p in module.named_parameters()}
    found = torch.autograd.grad(loss, list(targets.values()))
    return {f"gradient of {name}": g for name, g in zip(targets, found, strict=True)}


def assert_same(actual: Results, expected: Results, tolerance: Tolerance) -> None:
    """The same names, and near values under each."""
    assert list(actual) == list(expected)
    for name, value in expected.items():
        assert_near(actual[name], value, tolerance if value.is_floating_point() else EXACT, name)
