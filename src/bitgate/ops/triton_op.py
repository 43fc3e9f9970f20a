"""The Triton loop over time as operators of torch: ``bitgate::triton_layer`` and its backward.

The products of all steps (x with its weights before the loop; gradients of x, weights and biases behind it) are one
matrix product of torch each; the kernels do what depends on the step before.
"""

from typing import Any

import torch
from torch import Tensor

from bitgate.cells import CellKind
from bitgate.ops.native_op import check_lengths
from bitgate.ops.triton_launch import Problem, launch_backward, launch_forward

Forward = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""Of x, h, c, w_ih, w_hh, bias_ih, bias_hh; of no elements where not needed."""


def _problem(
    x: Tensor, h: Tensor, c: Tensor | None, w_hh: Tensor, lengths: Tensor | None, cell: str, levels: list[int]
) -> Problem:
    kind: CellKind = cell  # type: ignore[assignment]
    steps, batch, _ = x.shape
    found = check_lengths(lengths)
    ends = torch.full((batch,), steps) if found is None else found.clamp(0, steps)
    h_0 = h.float().contiguous()
    c_0 = h_0 if c is None else c.float().contiguous()
    ends = ends.to(device=x.device, dtype=torch.int32)
    return Problem(kind, tuple(levels), h_0, c_0, w_hh.contiguous(), ends, steps)


def multiply(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """``a b`` in the type of the weights, as float32."""
    return torch.mm(a.to(dtype), b.to(dtype)).float()


def _project(x: Tensor, w_ih: Tensor, bias_ih: Tensor | None, bias_hh: Tensor | None, hidden: int, cell: str) -> Tensor:
    """The input's part of all pre-activations with all biases but that of a GRU's hidden n, ``(T, B, G * H)``."""
    found = multiply(x.flatten(0, 1), w_ih.t(), w_ih.dtype)
    if bias_ih is not None:
        found += bias_ih.float()
    if bias_hh is not None:
        found += torch.cat([bias_hh[: 2 * hidden], bias_hh.new_zeros(hidden)]) if cell == "gru" else bias_hh.float()
    return found.view(*x.shape[:2], -1)


@torch.library.custom_op("bitgate::triton_layer", mutates_args=())
def triton_layer(
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
    lengths: Tensor | None,
    cell: str,
    levels: list[int],
    keep: bool,
) -> Forward:
    """Output, h, c, and what the backward pass reads: preact, cells, extra (triton_kernels); all float32."""
    problem = _problem(x, h, c, w_hh, lengths, cell, levels)
    (T, B, _), H = x.shape, h.shape[1]
    preact = _project(x, w_ih, bias_ih, bias_hh, H, cell)
    state = preact.new_empty if lengths is None else preact.new_zeros
    none = preact.new_empty(0)
    output = state(T, B, H)
    cells = state(T, B, H) if keep and cell != "gru" else none
    extra = state(T, B, H) if keep and cell == "gru" else none
    h_n, c_n = torch.empty_like(problem.h_0), none if c is None else problem.c_0.clone()
    bias_n = preact.new_zeros(H) if bias_hh is None or cell != "gru" else bias_hh[2 * H :].float().contiguous()
    if not launch_forward(problem, preact, bias_n, output, extra, cells, h_n, c_n, keep):
        last = (problem.lengths.long() - 1).clamp_min(0).view(1, B, 1).expand(1, B, H)
        h_n = torch.where(problem.lengths.view(B, 1) > 0, output.gather(0, last)[0], problem.h_0)
    return (
        output,
        h_n,
        c_n,
        preact if keep else none.clone(),
        cells if cells.dim() > 1 else none.clone(),
        (extra if extra.dim() > 1 else none.clone()),
    )


@triton_layer.register_fake
def _(
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
    lengths: Tensor | None,
    cell: str,
    levels: list[int],
    keep: bool,
) -> Forward:
    (T, B, _), (rows, H) = x.shape, w_hh.shape

    def new(*shape: Any) -> Tensor:
        return x.new_empty(shape, dtype=torch.float32)

    kept = new(T, B, H) if keep else new(0)
    cells, extra = (new(0), kept) if cell == "gru" else (kept, new(0))
    preact = new(T, B, rows) if keep else new(0)
    return new(T, B, H), new(B, H), new(0) if c is None else new(B, H), preact, cells, extra


@torch.library.custom_op("bitgate::triton_layer_backward", mutates_args=())
def triton_layer_backward(
    grad_output: Tensor | None,
    grad_h: Tensor | None,
    grad_c: Tensor | None,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    lengths: Tensor | None,
    output: Tensor,
    preact: Tensor,
    cells: Tensor,
    extra: Tensor,
    cell: str,
    levels: list[int],
    needs: list[bool],
) -> Gradients:
    """Gradients of the arguments; ``needs`` says of which."""
    problem = _problem(x, h, c, w_hh, lengths, cell, levels)
    dtype, hidden = w_hh.dtype, h.shape[1]
    states = [torch.zeros_like(problem.h_0) if g is None else g.float().clone().contiguous() for g in (grad_h, grad_c)]
    d_output = torch.zeros_like(output) if grad_output is None else grad_output.float().contiguous()
    # Behind the ends nothing is written, and zeros add nothing to the sums over all steps.
    d_preact = torch.empty_like(preact) if lengths is None else torch.zeros_like(preact)
    d_extra = torch.empty_like(extra) if lengths is None else torch.zeros_like(extra)
    kept = (preact, extra, cells, output)
    is_complete = launch_backward(problem, kept, d_output, d_preact, d_extra, *states)
    d_hidden = d_preact if cell != "gru" else torch.cat([d_preact[..., : 2 * hidden], d_extra], dim=-1)
    if not is_complete:
        states[0] += multiply(d_hidden[0], w_hh, dtype)
    none = preact.new_empty
    flat, flat_hidden = d_preact.flatten(0, 1), d_hidden.flatten(0, 1)
    before = torch.cat([problem.h_0.unsqueeze(0), output[:-1]]).flatten(0, 1) if needs[4] else none(0)
    return (
        multiply(flat, w_ih, dtype).view(x.shape) if needs[0] else none(0),
        states[0],
        none(0) if c is None else states[1],
        multiply(flat.t(), x.flatten(0, 1), dtype) if needs[3] else none(0),
        multiply(flat_hidden.t(), before, dtype) if needs[4] else none(0),
        flat.sum(0) if needs[5] else none(0),
        flat_hidden.sum(0) if needs[6] else none(0),
    )


@triton_layer_backward.register_fake
def _(
    grad_output: Tensor | None,
    grad_h: Tensor | None,
    grad_c: Tensor | None,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    lengths: Tensor | None,
    output: Tensor,
    preact: Tensor,
    cells: Tensor,
    extra: Tensor,
    cell: str,
    levels: list[int],
    needs: list[bool],
) -> Gradients:
    def new(like: Any, need: bool) -> Tensor:
        return x.new_empty(like if need else (0,), dtype=torch.float32)

    rows = w_hh.shape[:1]
    shapes = (x.shape, h.shape, h.shape, w_ih.shape, w_hh.shape, rows, rows)
    wanted = (needs[0], True, c is not None, *needs[3:])
    return tuple(new(shape, need) for shape, need in zip(shapes, wanted, strict=True))  # type: ignore[return-value]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, h, c, w_ih, w_hh, bias_ih, bias_hh, lengths, cell, levels, _ = inputs
    outputs, _, _, preact, cells, extra = output
    ctx.save_for_backward(x, h, c, w_ih, w_hh, lengths, outputs, preact, cells, extra)
    ctx.cell, ctx.levels = cell, levels
    ctx.dtypes = [None if value is None else value.dtype for value in (x, h, c, w_ih, w_hh, bias_ih, bias_hh)]
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    needs = [bool(need) for need in ctx.needs_input_grad[:7]]
    found = triton_layer_backward(*grads[:3], *ctx.saved_tensors, ctx.cell, ctx.levels, needs)
    rounded = (g.to(dtype) if need else None for g, need, dtype in zip(found, needs, ctx.dtypes, strict=True))
    return *rounded, None, None, None, None


triton_layer.register_autograd(_backward, setup_context=_setup_context)
