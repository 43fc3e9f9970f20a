"""``bitgate::recurrent_layer_backward``, and what connects it to autograd.

A second derivative is not there: use the reference backend for it.
"""

from typing import Any

import torch
from torch import Tensor

from bitgate.ops.direct import directly
from bitgate.ops.native_kernel import Call, decode, padded_size
from bitgate.ops.native_op import (
    contiguous,
    fill_gaps,
    named,
    pad,
    read_arrays,
    recurrent_layer,
    run_layer,
    unpad,
    without_gaps,
)
from bitgate.ops.problem import Recurrence

Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""Of x, h, c, w_ih, w_hh, bias_ih, bias_hh, v_ih, v_hh, gate_scale, alpha, anchor; of no elements where not needed."""

_PARAMETERS = ("w_ih", "w_hh", "bias_ih", "bias_hh", "v_ih", "v_hh", "gate_scale", "alpha")


def _shapes(kind: Recurrence, inputs: int, hidden: int) -> list[tuple[int, ...]]:
    """Shapes of ``_PARAMETERS``."""
    rows, gate_rows = kind.n_projections * hidden, kind.n_gates * hidden
    matrices: list[tuple[int, ...]] = [(rows, inputs), (rows, hidden)]
    return [*matrices, (gate_rows,), (gate_rows,), *matrices, (gate_rows,), (hidden,)]


def _run_backward(
    grad_output: Tensor | None,
    grad_h: Tensor | None,
    grad_c: Tensor | None,
    grad_anchor: Tensor | None,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    v_ih: Tensor | None,
    v_hh: Tensor | None,
    gate_scale: Tensor | None,
    bias: Tensor | None,
    alpha: Tensor | None,
    anchor: Tensor | None,
    position: Tensor | None,
    lengths: Tensor | None,
    output: Tensor,
    gates: Tensor | None,
    slopes: Tensor | None,
    cells: Tensor | None,
    extra: Tensor | None,
    ratios: Tensor | None,
    shared: Tensor | None,
    cell: str,
    levels: list[int],
    sharing: list[int],
    skip: list[int],
    needs: list[bool],
) -> tuple[Tensor | None, ...]:
    """Gradients of the arguments; ``needs`` says of which. None for others, and for arguments that are None."""
    call = Call(decode(cell, levels, sharing, skip), x, h.shape[1])
    T, B, H, Hp = call.steps, call.batch, call.hidden, call.padded
    x = x.contiguous()
    # The kernel changes these in place, so they are copies even where no padding makes one.
    d_h, d_c, d_anchor = (
        None if start is None else x.new_zeros(B, Hp) if grad is None else pad(grad, Hp).clone()
        for start, grad in ((h, grad_h), (c, grad_c), (anchor, grad_anchor))
    )
    d_x = x.new_empty(T, B, padded_size(call.inputs, x.dtype)) if needs[0] else None
    shapes = _shapes(call.kind, call.inputs, H)
    params = {
        name: x.new_empty(shape) if need else None
        for name, shape, need in zip(_PARAMETERS, shapes, needs[3:11], strict=True)
    }
    to = call.addresses(*((f"grad_{n}", params[n], shape) for n, shape in zip(_PARAMETERS, shapes, strict=True)))
    arrays = read_arrays(H, w_hh, v_hh, h, c, gate_scale, bias, alpha, anchor, position, lengths)
    call.backward(
        call.layer(arrays, named(pad(output, Hp), (gates, slopes, cells, extra, ratios, shared))),
        *call.addresses(
            ("x", x, (T, B, call.inputs)),
            ("w_ih", w_ih.contiguous(), (call.rows, call.inputs)),
            ("v_ih", contiguous(v_ih), (call.rows, call.inputs)),
            ("grad_output", None if grad_output is None else pad(grad_output, Hp), (T, B, Hp)),
            ("grad_h", d_h, (B, Hp)),
            ("grad_c", d_c, (B, Hp)),
            ("grad_x", d_x, (T, B, padded_size(call.inputs, x.dtype))),
        ),
        *to[:6],
        *call.addresses(("grad_anchor", d_anchor, (B, Hp))),
        *to[6:],
    )
    d_x = None if d_x is None else unpad(d_x, call.inputs)
    starts = [None if value is None else unpad(value, H) for value in (d_h, d_c, d_anchor)]
    return d_x, *starts[:2], *params.values(), starts[2]


recurrent_layer_backward = torch.library.custom_op(
    "bitgate::recurrent_layer_backward", without_gaps(_run_backward, Gradients), mutates_args=(), device_types="cpu"
)


@recurrent_layer_backward.register_fake
def _(
    grad_output: Tensor | None,
    grad_h: Tensor | None,
    grad_c: Tensor | None,
    grad_anchor: Tensor | None,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    v_ih: Tensor | None,
    v_hh: Tensor | None,
    gate_scale: Tensor | None,
    bias: Tensor | None,
    alpha: Tensor | None,
    anchor: Tensor | None,
    position: Tensor | None,
    lengths: Tensor | None,
    output: Tensor,
    gates: Tensor | None,
    slopes: Tensor | None,
    cells: Tensor | None,
    extra: Tensor | None,
    ratios: Tensor | None,
    shared: Tensor | None,
    cell: str,
    levels: list[int],
    sharing: list[int],
    skip: list[int],
    needs: list[bool],
) -> Gradients:
    shapes = _shapes(decode(cell, levels, sharing, skip), x.shape[2], w_hh.shape[1])
    params = [x.new_empty(shape) if need else None for shape, need in zip(shapes, needs[3:11], strict=True)]
    starts = [None if value is None else value.new_empty(value.shape) for value in (h, c, anchor)]
    return fill_gaps((x.new_empty(x.shape) if needs[0] else None, *starts[:2], *params, starts[2]), x)


_run_directly = directly(recurrent_layer_backward, _run_backward)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, h, c, w_ih, w_hh, bias, _, v_ih, v_hh, gate_scale, alpha, anchor, _, position, lengths, *options, _ = inputs
    outputs, _, _, _, *saved = output
    given = (x, h, c, w_ih, w_hh, v_ih, v_hh, gate_scale, bias, alpha, anchor, position, lengths)
    ctx.save_for_backward(*given, outputs, *saved)
    ctx.options = options[:4]  # rounding of states is the identity on the way back
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    needs = [bool(need) for need in ctx.needs_input_grad[:12]]
    # The operator refuses a second derivative, which autograd asks for by leaving gradients on.
    run = recurrent_layer_backward if torch.is_grad_enabled() else _run_directly
    found = run(*grads[:4], *ctx.saved_tensors, *ctx.options, needs)
    return *(grad if need else None for grad, need in zip(found, needs, strict=True)), *[None] * 9


recurrent_layer.register_autograd(_backward, setup_context=_setup_context)

layer = directly(recurrent_layer, run_layer, _setup_context, _backward, n_results=4)
"""``bitgate::recurrent_layer`` by the shortest way, its first four results, None for states that there are not; all
arguments by position."""
