"""The native loop over time as operators of torch: ``bitgate::recurrent_layer`` and its backward.

Buffers are padded to ``Hp`` units (csrc/bg_train.h), results are not.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from bitgate.cells import CellKind
from bitgate.errors import ArgumentError
from bitgate.ops.native_kernel import Call, padded_size
from bitgate.ops.problem import Recurrence

_KEPT = ("gates", "slopes", "cells", "extra", "ratios")
_Saved = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
_Forward = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


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


def _empty_saved(x: Tensor, hidden: int, cell: str, levels: list[int], keep: bool, is_random: bool) -> _Saved:
    """Buffers by the names in ``_KEPT``; of no elements where there is nothing to keep."""
    steps, batch, _ = x.shape
    size = padded_size(hidden, x.dtype)
    wide, narrow = (steps, batch, len(levels), size), (steps, batch, size)
    drawn = (steps, batch, Recurrence(cell, tuple(levels)).n_preacts, size)  # type: ignore[arg-type]
    wanted = (keep, keep and any(levels), keep and cell != "gru", keep, keep and is_random)
    shapes = (wide, wide, narrow, narrow, drawn)
    gates, slopes, cells, extra, ratios = (
        x.new_empty(shape if want else (0,)) for shape, want in zip(shapes, wanted, strict=True)
    )
    return gates, slopes, cells, extra, ratios


def named(output: Tensor, saved: _Saved) -> dict[str, Tensor | None]:
    """Arrays by their names in csrc/bg_train.h; None for those that were not kept."""
    found = {name: value if value.dim() > 1 else None for name, value in zip(_KEPT, saved, strict=True)}
    return {"output": output, **found}


def check_random(v_ih: Tensor | None, v_hh: Tensor | None, noise: Tensor | None) -> None:
    """Raises ArgumentError where only some of the lr-trick's arrays are there."""
    if len({value is None for value in (v_ih, v_hh, noise)}) > 1:
        raise ArgumentError("v_ih, v_hh, noise: give all three (lr-trick) or none")


@torch.library.custom_op("bitgate::recurrent_layer", mutates_args=(), device_types="cpu")
def recurrent_layer(
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
    v_ih: Tensor | None,
    v_hh: Tensor | None,
    noise: Tensor | None,
    lengths: Tensor | None,
    cell: str,
    levels: list[int],
    keep: bool,
) -> _Forward:
    """Output, h, c, and what the backward pass reads: gates, slopes, cells, extra, ratios (csrc/bg_train.h).

    With variances ``v_ih`` and ``v_hh`` and ``noise`` ``(T, B, A * H)``, ``w_ih`` and ``w_hh`` are means (lr-trick).
    """
    kind: CellKind = cell  # type: ignore[assignment]
    check_random(v_ih, v_hh, noise)
    call = Call(kind, levels, x, h.shape[1])
    T, B, H, Hp, rows = call.steps, call.batch, call.hidden, call.padded, len(levels) * call.hidden
    x, h_0, c_0 = x.contiguous(), pad(h, Hp), None if c is None else pad(c, Hp)
    output, h_n, c_n = x.new_empty(T, B, Hp), torch.empty_like(h_0), None if c_0 is None else torch.empty_like(c_0)
    saved = _empty_saved(x, H, cell, levels, keep, v_hh is not None)
    call.forward(
        call.layer(w_hh.contiguous(), contiguous(v_hh), h_0, c_0, check_lengths(lengths), named(output, saved)),
        call.address("x", x, T, B, call.inputs),
        call.address("w_ih", w_ih.contiguous(), rows, call.inputs),
        call.address("v_ih", contiguous(v_ih), rows, call.inputs),
        call.address("noise", blocks(noise, H), T, B, call.n_preacts, Hp),
        call.address("bias_ih", contiguous(bias_ih), rows),
        call.address("bias_hh", contiguous(bias_hh), rows),
        call.address("h_n", h_n, B, Hp),
        call.address("c_n", c_n, B, Hp),
    )
    return unpad(output, H), unpad(h_n, H), x.new_empty(0) if c_n is None else unpad(c_n, H), *saved


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
    noise: Tensor | None,
    lengths: Tensor | None,
    cell: str,
    levels: list[int],
    keep: bool,
) -> _Forward:
    hidden = w_hh.shape[1]
    output = x.new_empty(x.shape[0], x.shape[1], hidden)
    h_n, c_n = x.new_empty(x.shape[1], hidden), x.new_empty(0) if c is None else x.new_empty(x.shape[1], hidden)
    return output, h_n, c_n, *_empty_saved(x, hidden, cell, levels, keep, v_hh is not None)
