"""The native loop over time as operators of torch: ``bitgate::recurrent_layer`` and its backward.

Buffers are padded to ``Hp`` units (csrc/bg_train.h), results are not.
"""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bitgate.errors import ArgumentError
from bitgate.ops.native_kernel import Call, decode, padded_size
from bitgate.ops.problem import Recurrence

_KEPT = ("gates", "slopes", "cells", "extra", "ratios", "shared")
_STARTS = ("h_0", "c_0", "anchor_0")
_Saved = tuple[Tensor | None, ...]
_Forward = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def pad(value: Tensor, padded: int) -> Tensor:
    """Contiguous, the last axis filled up with zeros."""
    value = value.contiguous()
    return value if value.shape[-1] == padded else F.pad(value, (0, padded - value.shape[-1]))


def unpad(value: Tensor, hidden: int) -> Tensor:
    """Contiguous, the last axis cut to ``hidden``."""
    return value if value.shape[-1] == hidden else value[..., :hidden].contiguous()


def check_lengths(lengths: Tensor | None) -> Tensor | None:
    """Lengths as the kernel reads them.

    Raises:
        ArgumentError: not in descending order.
    """
    if lengths is None:
        return None
    found = lengths.to("cpu", torch.int64).contiguous()
    if bool((found[1:] > found[:-1]).any()):
        raise ArgumentError(f"lengths: {found.tolist()}, expected the longest sequence first")
    return found


def contiguous(value: Tensor | None) -> Tensor | None:
    """The same values in one piece; None stays."""
    return None if value is None else value.contiguous()


def blocks(noise: Tensor | None, hidden: int) -> Tensor | None:
    """``(T, B, A * H)`` as the kernel reads it: ``(T, B, A, Hp)``."""
    if noise is None:
        return None
    return pad(noise.reshape(*noise.shape[:2], -1, hidden), padded_size(hidden, noise.dtype))


def _empty_saved(x: Tensor, hidden: int, kind: Recurrence, keep: bool, is_random: bool) -> _Saved:
    """Buffers by the names in ``_KEPT``; None where there is nothing to keep."""
    steps, batch, _ = x.shape
    size = padded_size(hidden, x.dtype)
    wide, narrow = (steps, batch, kind.n_gates, size), (steps, batch, size)
    drawn, shared = ((steps, batch, n, size) for n in (kind.n_preacts, kind.n_projections))
    is_shared = kind.sharing is not None
    own = keep and not is_shared
    is_gru = kind.cell == "gru"
    wanted = (
        own,
        own and any(kind.gates),
        keep and not is_gru,
        keep and is_gru,
        keep and is_random,
        keep and is_shared,
    )
    shapes = (wide, wide, narrow, narrow, drawn, shared)
    return tuple(x.new_empty(s) if want else None for s, want in zip(shapes, wanted, strict=True))


def fill_gaps(values: Iterable[Tensor | None], like: Tensor) -> tuple[Any, ...]:
    """Tensors of no elements for None."""
    return tuple(like.new_empty(0) if value is None else value for value in values)


def without_gaps(run: Callable[..., tuple[Tensor | None, ...]], result: Any) -> Callable[..., Any]:
    """``run`` for an operator of torch, which cannot return None; ``result`` is the type of what it returns."""

    @functools.wraps(run)
    def fill(*arguments: Any) -> Any:
        return fill_gaps(run(*arguments), next(a for a in arguments if isinstance(a, Tensor)))

    fill.__signature__ = inspect.signature(run).replace(return_annotation=result)  # type: ignore[attr-defined]
    return fill


def read_arrays(
    hidden: int,
    w_hh: Tensor,
    v_hh: Tensor | None,
    h: Tensor,
    c: Tensor | None,
    gate_scale: Tensor | None,
    bias: Tensor | None,
    alpha: Tensor | None,
    anchor: Tensor | None,
    position: Tensor | None,
    lengths: Tensor | None,
) -> dict[str, Tensor | None]:
    """What both passes read, padded, by its names in csrc/bg_train.h."""
    padded = padded_size(hidden, h.dtype)
    return {
        "w_hh": w_hh.contiguous(),
        "v_hh": contiguous(v_hh),
        "h_0": pad(h, padded),
        "c_0": None if c is None else pad(c, padded),
        "gate_scale": None if gate_scale is None else pad(gate_scale.reshape(-1, hidden), padded),
        "bias": None if gate_scale is None or bias is None else pad(bias.reshape(-1, hidden), padded),
        "alpha": None if alpha is None else pad(alpha, padded),
        "anchor_0": None if anchor is None else pad(anchor, padded),
        "position": contiguous(position),
        "lengths": check_lengths(lengths),
    }


def named(output: Tensor, saved: _Saved) -> dict[str, Tensor | None]:
    """Arrays by their names in csrc/bg_train.h; None for those that were not kept."""
    found = {n: None if v is None or v.dim() < 2 else v for n, v in zip(_KEPT, saved, strict=True)}
    return {"output": output, **found}


def check_random(v_ih: Tensor | None, v_hh: Tensor | None, noise: Tensor | None) -> None:
    """Raises ArgumentError where only some of the lr-trick's arrays are there."""
    if len({value is None for value in (v_ih, v_hh, noise)}) > 1:
        raise ArgumentError("v_ih, v_hh, noise: give all three (lr-trick) or none")


def run_layer(
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
    v_ih: Tensor | None,
    v_hh: Tensor | None,
    gate_scale: Tensor | None,
    alpha: Tensor | None,
    anchor: Tensor | None,
    noise: Tensor | None,
    position: Tensor | None,
    lengths: Tensor | None,
    cell: str,
    levels: list[int],
    sharing: list[int],
    skip: list[int],
    state_bits: int,
    keep: bool,
) -> tuple[Tensor | None, ...]:
    """Output, h, c, anchor, and what the backward pass reads (csrc/bg_train.h), by the names in ``_KEPT``.

    None for what there is not.

    With variances ``v_ih`` and ``v_hh`` and ``noise`` ``(T, B, A * H)``, ``w_ih`` and ``w_hh`` are means (lr-trick).
    ``sharing`` is empty or has the projection of each gate, ``skip`` is ``encode_skip``'s; ``alpha`` has a value
    for every unit; ``state_bits`` rounds hidden states, 0 does not.
    """
    check_random(v_ih, v_hh, noise)
    call = Call(decode(cell, levels, sharing, skip, state_bits), x, h.shape[1])
    T, B, H, Hp = call.steps, call.batch, call.hidden, call.padded
    arrays = read_arrays(H, w_hh, v_hh, h, c, gate_scale, bias_ih, alpha, anchor, position, lengths)
    x, output = x.contiguous(), x.new_empty(T, B, Hp)
    last = [None if start is None else torch.empty_like(start) for start in (arrays[k] for k in _STARTS)]
    saved = _empty_saved(x, H, call.kind, keep, v_hh is not None)
    call.forward(
        call.layer(arrays, named(output, saved)),
        *call.addresses(
            ("x", x, (T, B, call.inputs)),
            ("w_ih", w_ih.contiguous(), (call.rows, call.inputs)),
            ("v_ih", contiguous(v_ih), (call.rows, call.inputs)),
            ("noise", blocks(noise, H), (T, B, call.kind.n_preacts, Hp)),
            ("bias_ih", contiguous(bias_ih), (call.gate_rows,)),
            ("bias_hh", contiguous(bias_hh), (call.gate_rows,)),
            *((name, value, (B, Hp)) for name, value in zip(_STARTS, last, strict=True)),
        ),
    )
    return unpad(output, H), *(None if value is None else unpad(value, H) for value in last), *saved


recurrent_layer = torch.library.custom_op(
    "bitgate::recurrent_layer", without_gaps(run_layer, _Forward), mutates_args=(), device_types="cpu"
)


@recurrent_layer.register_fake
def _(
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
    v_ih: Tensor | None,
    v_hh: Tensor | None,
    gate_scale: Tensor | None,
    alpha: Tensor | None,
    anchor: Tensor | None,
    noise: Tensor | None,
    position: Tensor | None,
    lengths: Tensor | None,
    cell: str,
    levels: list[int],
    sharing: list[int],
    skip: list[int],
    state_bits: int,
    keep: bool,
) -> _Forward:
    hidden = w_hh.shape[1]
    output = x.new_empty(x.shape[0], x.shape[1], hidden)
    last = (None if v is None else x.new_empty(x.shape[1], hidden) for v in (h, c, anchor))
    saved = _empty_saved(x, hidden, decode(cell, levels, sharing, skip), keep, v_hh is not None)
    return fill_gaps((output, *last, *saved), x)
