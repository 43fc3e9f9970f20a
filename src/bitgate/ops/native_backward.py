"""``bitgate::recurrent_layer_backward``, and what connects it to autograd.

A second derivative is not there: use the reference backend for it.
"""

from typing import Any

import torch
from torch import Tensor

from bitgate.cells import CellKind
from bitgate.ops.native_kernel import Call, padded_size
from bitgate.ops.native_op import check_lengths, contiguous, named, pad, recurrent_layer, unpad

Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""Of x, h, c, w_ih, w_hh, bias_ih, bias_hh, v_ih, v_hh; of no elements where not needed."""


@torch.library.custom_op("bitgate::recurrent_layer_backward", mutates_args=(), device_types="cpu")
def recurrent_layer_backward(
    grad_output: Tensor | None,
    grad_h: Tensor | None,
    grad_c: Tensor | None,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    v_ih: Tensor | None,
    v_hh: Tensor | None,
    lengths: Tensor | None,
    output: Tensor,
    gates: Tensor,
    slopes: Tensor,
    cells: Tensor,
    extra: Tensor,
    ratios: Tensor,
    cell: str,
    levels: list[int],
    needs: list[bool],
) -> Gradients:
    """Gradients of the arguments; ``needs`` says of which."""
    kind: CellKind = cell  # type: ignore[assignment]
    call = Call(kind, levels, x, h.shape[1])
    T, B, H, Hp, rows = call.steps, call.batch, call.hidden, call.padded, len(levels) * call.hidden
    x, h_0, c_0 = x.contiguous(), pad(h, Hp), None if c is None else pad(c, Hp)
    # The kernel changes these in place, so they are copies even where no padding makes one.
    d_h = x.new_zeros(B, Hp) if grad_h is None else pad(grad_h, Hp).clone()
    d_c = None if c is None else x.new_zeros(B, Hp) if grad_c is None else pad(grad_c, Hp).clone()
    d_x = x.new_empty(T, B, padded_size(call.inputs, x.dtype)) if needs[0] else None
    shapes = ((rows, call.inputs), (rows, H), (rows,), (rows,), (rows, call.inputs), (rows, H))
    params = [x.new_empty(shape) if need else None for shape, need in zip(shapes, needs[3:], strict=True)]
    names = ("w_ih", "w_hh", "bias_ih", "bias_hh", "v_ih", "v_hh")
    arrays = named(pad(output, Hp), (gates, slopes, cells, extra, ratios))
    call.backward(
        call.layer(w_hh.contiguous(), contiguous(v_hh), h_0, c_0, check_lengths(lengths), arrays),
        call.address("x", x, T, B, call.inputs),
        call.address("w_ih", w_ih.contiguous(), rows, call.inputs),
        call.address("v_ih", contiguous(v_ih), rows, call.inputs),
        call.address("grad_output", None if grad_output is None else pad(grad_output, Hp), T, B, Hp),
        call.address("grad_h", d_h, B, Hp),
        call.address("grad_c", d_c, B, Hp),
        call.address("grad_x", d_x, T, B, padded_size(call.inputs, x.dtype)),
        *(call.address(f"grad_{n}", g, *shape) for n, g, shape in zip(names, params, shapes, strict=True)),
    )
    d_x = None if d_x is None else unpad(d_x, call.inputs)
    d_c = None if d_c is None else unpad(d_c, H)
    found = (d_x, unpad(d_h, H), d_c, *params)
    return tuple(x.new_empty(0) if value is None else value for value in found)  # type: ignore[return-value]


@recurrent_layer_backward.register_fake
def _(
    grad_output: Tensor | None,
    grad_h: Tensor | None,
    grad_c: Tensor | None,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    v_ih: Tensor | None,
    v_hh: Tensor | None,
    lengths: Tensor | None,
    output: Tensor,
    gates: Tensor,
    slopes: Tensor,
    cells: Tensor,
    extra: Tensor,
    ratios: Tensor,
    cell: str,
    levels: list[int],
    needs: list[bool],
) -> Gradients:
    none = x.new_empty
    rows, hidden = w_hh.shape
    shapes = ((rows, x.shape[2]), (rows, hidden), (rows,), (rows,), (rows, x.shape[2]), (rows, hidden))
    params = [none(shape if need else 0) for shape, need in zip(shapes, needs[3:], strict=True)]
    return (
        x.new_empty(x.shape) if needs[0] else none(0),
        h.new_empty(h.shape),
        none(0) if c is None else c.new_empty(c.shape),
        *params,
    )  # type: ignore[return-value]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, h, c, w_ih, w_hh, _, _, v_ih, v_hh, _, lengths, cell, levels, _ = inputs
    outputs, _, _, *saved = output
    ctx.save_for_backward(x, h, c, w_ih, w_hh, v_ih, v_hh, lengths, outputs, *saved)
    ctx.cell, ctx.levels = cell, levels
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    needs = [bool(need) for need in ctx.needs_input_grad[:9]]
    found = recurrent_layer_backward(*grads[:3], *ctx.saved_tensors, ctx.cell, ctx.levels, needs)
    return *(grad if need else None for grad, need in zip(found, needs, strict=True)), None, None, None, None, None


recurrent_layer.register_autograd(_backward, setup_context=_setup_context)
