"""States of a stack of layers: from the caller's form to the normal one and back."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from bitgate.errors import ArgumentError, ShapeError
from bitgate.nn.sequence import Sequences
from bitgate.ops import LoopResult, Skip


class StackResult(NamedTuple):
    """Output in the form of the input and last states ``(layers * directions, B, ...)``, as in ``LoopResult``."""

    output: Tensor | PackedSequence
    h: Tensor
    c: Tensor | None
    anchor: Tensor | None
    position: Tensor | None

    @classmethod
    def of(cls, sequences: Sequences, output: Tensor, results: list[LoopResult]) -> "StackResult":
        """The last layer's output and the states of all layers and directions, in the order of the input."""
        h, c, anchor, position = (
            None if parts[0] is None else sequences.unsort(_stack(parts))
            for parts in ([getattr(result, name) for result in results] for name in ("h", "c", "anchor", "position"))
        )
        assert h is not None
        return cls(sequences.restore(output), h, c, anchor, position)


def _stack(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts) if len(parts) > 1 else parts[0].unsqueeze(0)


def initial_states(
    sequences: Sequences, initial: tuple[Tensor, ...] | None, *, rows: int, sizes: Sequence[int]
) -> tuple[Tensor, ...]:
    """h, and c where there is one, of all layers and directions in the normal order; zeros where None.

    Raises:
        ShapeError: a state of another shape.
    """
    shapes = [(rows, sequences.x.shape[1], size) for size in sizes]
    if initial is None:
        # Nothing writes to them, so that states of one size are one.
        zeros = {size: sequences.x.new_zeros(shape) for size, shape in zip(sizes, shapes, strict=True)}
        return tuple(zeros[size] for size in sizes)
    states = []
    for name, state, shape in zip(("h_0", "c_0"), initial, shapes, strict=False):
        expected = shape if sequences.batched else (shape[0], shape[2])
        if not isinstance(state, Tensor) or tuple(state.shape) != expected:
            found = tuple(state.shape) if isinstance(state, Tensor) else type(state).__name__
            raise ShapeError(f"{name}: expected shape {expected} (layers * directions first), got {found}")
        states.append(sequences.sort(state if sequences.batched else state.unsqueeze(1)))
    return tuple(states)


def initial_block(
    sequences: Sequences, skip: Skip | None, anchor: Tensor | None, position: Tensor | None, *, like: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """Anchors, of the shape of h (``like``), and positions in the normal order; None where blocks begin anew.

    Raises:
        ShapeError: another shape.
        ArgumentError: a position that no block has.
    """
    if skip is None or skip.kind != "block" or anchor is None or position is None:
        return None, None
    found = [value if sequences.batched else value.unsqueeze(1) for value in (anchor, position)]
    for name, value, expected in zip(("anchor", "position"), found, (like.shape, like.shape[:2]), strict=True):
        if value.shape != expected:
            shapes = f"expected shape {tuple(expected)} (layers * directions first), got {tuple(value.shape)}"
            raise ShapeError(f"{name}: {shapes}")
    if not 0 <= int(found[1].min()) <= int(found[1].max()) < skip.block_size:
        last = skip.block_size - 1
        raise ArgumentError(f"position: expected 0 to {last} (block_size - 1), got {found[1].tolist()}")
    return sequences.sort(found[0]), sequences.sort(found[1])
