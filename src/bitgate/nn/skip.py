"""Additive skips of hidden states as a module's argument says them, and the state that they carry."""

import math
import warnings
from collections.abc import Iterable
from numbers import Real

from torch import Tensor

from bitgate.errors import ArgumentError
from bitgate.nn.matrix import require_size
from bitgate.ops import Skip

SKIP_NAMES = ("block", "step", "step-raw", "none")

INITIAL_ALPHA = {"block": 0.5, "step": 0.1}
"""Where a learned alpha starts (ours): a block's path reaches back ``alpha ** (t / block_size)``, so it starts wide."""


def resolve_skip(skip: str | None, block_size: int) -> Skip | None:
    """The skip that ``skip=`` means.

    Args:
        skip: "block", "step", "step-raw", or None (also "none").
        block_size: steps of a block.

    Raises:
        ArgumentError: an unknown name, or a block of no steps.
    """
    require_size("block_size", block_size)
    if skip is None or skip == "none":
        return None
    if skip not in SKIP_NAMES:
        raise ArgumentError(f"skip: {skip!r}, expected one of {', '.join(SKIP_NAMES)}")
    if skip == "block":
        return Skip("block", block_size)
    if skip == "step-raw":
        warnings.warn(
            "skip='step-raw': the hidden state grows without bound wherever f + alpha > 1; skip='step' is bounded",
            stacklevel=4,
        )
    return Skip("step", is_bounded=skip == "step")


def describe_skip(skip: Skip) -> str:
    """The skip as its arguments, for ``repr``."""
    if skip.kind == "block":
        return f"'block', block_size={skip.block_size}"
    return "'step'" if skip.is_bounded else "'step-raw'"


def check_skip_scale(skip: Skip | None, value: float | None) -> float | None:
    """Returns a fixed alpha, None where it is learned.

    Raises:
        ArgumentError: out of range, or given without a skip.
    """
    if value is None:
        return None
    if skip is None:
        raise ArgumentError(f"skip_scale: {value!r}, but there is no skip; leave this argument out")
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value <= 1:
        raise ArgumentError(f"skip_scale: {value!r}, expected a number above 0 and at most 1 (None to learn it)")
    return float(value)


def initial_skip_logit(skip: Skip) -> float:
    """``logit(alpha)`` at the start."""
    alpha = INITIAL_ALPHA[skip.kind]
    return math.log(alpha / (1 - alpha))


class QLState(tuple[Tensor, Tensor]):
    """The pair ``(h, c)`` with what a block skip carries beside it, so that any chunking of a sequence gives the same.

    Attributes:
        anchor: h where each sequence's block began, of the shape of h; None without a block skip.
        position: steps run since then, ``(layers * directions, B)`` int64 on the CPU; None likewise.
    """

    anchor: Tensor | None
    position: Tensor | None

    def __new__(cls, h: Tensor, c: Tensor, anchor: Tensor | None = None, position: Tensor | None = None) -> "QLState":
        """The state of these parts."""
        state = super().__new__(cls, (h, c))
        state.anchor, state.position = anchor, position
        return state

    def __getnewargs__(self) -> tuple[Tensor | None, ...]:
        return (*self, self.anchor, self.position)

    def detach(self) -> "QLState":
        """The same values outside the graph: for truncated back-propagation."""
        h, c = (part.detach() for part in self)
        return QLState(h, c, None if self.anchor is None else self.anchor.detach(), self.position)


def block_parts(hx: Iterable[Tensor] | None) -> tuple[Tensor | None, Tensor | None]:
    """Anchor and position of a state; None of a plain pair, which begins a new block."""
    return (hx.anchor, hx.position) if isinstance(hx, QLState) else (None, None)
