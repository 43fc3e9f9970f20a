"""What operators that make discrete weights share: scales of blocks of rows, and the backward pass.

With ``log_scale`` ``(G,)`` the rows form G equal blocks, whose weights are multiplied by ``exp(log_scale)``. A C kernel
computes float32 and float64 on the CPU, torch everything else.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from bitgate.errors import ShapeError
from bitgate.ops import native_kernel
from bitgate.ops.direct import directly, is_plain

MOST_LEVELS = 256  # BG_TRAIN_MAX_LEVELS in csrc/bg_train.h


def check_scale(scale: Tensor | None, weights_shape: Sequence[int], like: Tensor) -> None:
    """Refuses scales that do not fit the weights.

    Raises:
        ShapeError: not a vector whose length divides the number of rows, or another type or device.
    """
    if scale is None:
        return
    rows = weights_shape[0] if weights_shape else 1
    is_sound = scale.dim() == 1 and scale.shape[0] > 0 and rows % scale.shape[0] == 0
    if not is_sound or scale.dtype != like.dtype or scale.device != like.device:
        raise ShapeError(
            f"log_scale: expected {like.dtype}, one value for each of some equal blocks of {rows} rows, "
            f"got {scale.dtype} of shape {tuple(scale.shape)}"
        )


def exponential(log_scale: Tensor | None) -> Tensor | None:
    """Scales from their logarithms."""
    return None if log_scale is None else log_scale.exp()


def multiply_blocks(value: Tensor, scale: Tensor | None) -> Tensor:
    """Multiplies G equal blocks of rows ``(rows, ...)`` by one factor ``(G,)`` each; nothing by None."""
    if scale is None:
        return value
    return (value.reshape(len(scale), -1) * scale.unsqueeze(1)).view(value.shape)


def run_kernel(
    source: Tensor,
    weights: Tensor,
    slopes: Tensor,
    levels: Sequence[float],
    scale: Tensor | None,
    *,
    noise: Tensor | None = None,
    seed: Tensor | int | None = None,
    temperature: float = 1.0,
    straight_through: bool = True,
) -> None:
    """Fills ``weights``, and ``slopes`` unless it is empty, in C: from contiguous logits and noise, or from latents.

    With a seed, noise is drawn.
    """
    native_kernel.extension.discrete_forward(
        *native_kernel.options(weights.dtype),
        len(levels),
        weights.numel(),
        1 if scale is None else scale.shape[0],
        temperature,
        straight_through,
        seed is not None,
        0 if seed is None else int(seed),
        source.data_ptr(),
        0 if noise is None else noise.data_ptr(),
        _values(tuple(levels), weights.dtype).data_ptr(),
        0 if scale is None else scale.data_ptr(),
        weights.data_ptr(),
        slopes.data_ptr() if slopes.numel() else 0,
    )


@cache
def _values(levels: tuple[float, ...], dtype: torch.dtype) -> Tensor:
    return torch.tensor(levels, dtype=dtype)


def _backward(
    grad: Tensor, weights: Tensor | None, slopes: Tensor, scale: Tensor | None, needs: Sequence[bool]
) -> tuple[Tensor, Tensor]:
    """Gradients of logits or latents, and of the logarithms of scales; of no elements where not needed.

    Args:
        grad: of the weights.
        weights: scales multiplied in; None if there are no scales.
        slopes: ``(K, ...)`` or like the weights, d weight / d logit or latent, scales left out.
        scale: ``(G,)`` or None.
        needs: which of the two gradients.
    """
    grad = grad.contiguous()
    _check_backward(grad, weights, slopes, scale, needs)
    if not native_kernel.runs_on(grad):
        from_grad = slopes * multiply_blocks(grad, scale) if needs[0] else grad.new_empty(0)
        if scale is None or weights is None or not needs[1]:
            return from_grad, grad.new_empty(0)
        return from_grad, (grad * weights).reshape(len(scale), -1).sum(dim=1)
    source = torch.empty_like(slopes) if needs[0] else None
    scales = torch.zeros_like(scale) if scale is not None and needs[1] else None
    native_kernel.extension.discrete_backward(
        *native_kernel.options(grad.dtype),
        slopes.shape[0] if slopes.dim() > grad.dim() else 1,
        grad.numel(),
        1 if scale is None else scale.shape[0],
        *(0 if array is None else array.data_ptr() for array in (scale, weights, slopes, grad, source, scales)),
    )
    return (
        grad.new_empty(0) if source is None else source,
        grad.new_empty(0) if scales is None else scales,
    )


def _check_backward(
    grad: Tensor, weights: Tensor | None, slopes: Tensor, scale: Tensor | None, needs: Sequence[bool]
) -> None:
    check_scale(scale, grad.shape, grad)
    arrays: list[tuple[str, Tensor | None, tuple[int, ...]]] = []
    if needs[1] and scale is not None:
        arrays.append(("weights", weights, grad.shape))
    if needs[0]:
        arrays.append(("slopes", slopes, (*slopes.shape[: slopes.dim() - grad.dim()], *grad.shape)))
    for name, value, shape in arrays:
        is_sound = value is not None and value.shape == shape and value.dtype == grad.dtype and value.is_contiguous()
        if not is_sound or len(shape) > grad.dim() + 1:
            found = None if value is None else f"{value.dtype} of shape {tuple(value.shape)}"
            raise ShapeError(f"{name}: expected {grad.dtype} of shape {tuple(shape)} like the gradient, got {found}")


discrete_backward = torch.library.custom_op("bitgate::discrete_backward", _backward, mutates_args=())
"""``bitgate::discrete_backward``; there is no second derivative."""


@discrete_backward.register_fake
def _(
    grad: Tensor, weights: Tensor | None, slopes: Tensor, scale: Tensor | None, needs: Sequence[bool]
) -> tuple[Tensor, Tensor]:
    none = grad.new_empty
    scales = none(0) if scale is None or not needs[1] else torch.empty_like(scale)
    return slopes.new_empty(slopes.shape) if needs[0] else none(0), scales


_run_backward = directly(discrete_backward, _backward)


def save(ctx: Any, weights: Tensor, slopes: Tensor, log_scale: Tensor | None) -> None:
    """Keeps what ``gradients`` reads."""
    ctx.save_for_backward(slopes, *(() if log_scale is None else (weights, log_scale)))
    ctx.mark_non_differentiable(slopes)
    ctx.set_materialize_grads(False)


def gradients(ctx: Any, grad: Tensor | None, needs: Sequence[bool]) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of what the weights came from, and of ``log_scale``; None where not needed."""
    if grad is None:
        return None, None
    slopes, *rest = ctx.saved_tensors
    weights, log_scale = rest or (None, None)
    found = _run_backward(grad, weights, slopes, exponential(log_scale), list(needs))
    return found[0] if needs[0] else None, found[1] if needs[1] else None


def needs_gradient(source: Tensor) -> bool:
    """Whether the slopes of what is made of ``source`` will be read."""
    return torch.is_grad_enabled() and source.requires_grad


Make = Callable[[int, Tensor, Tensor | None], tuple[Tensor, Tensor]]
"""Weights and slopes of the matrix of this number, from its logits or latents and the scales."""


def make_together(make: Make, sources: Sequence[Tensor], log_scale: Tensor | None) -> list[Tensor]:
    """Weights of several matrices with the same scales in one step of autograd; for arguments that ``is_plain``."""
    return list(_Together.apply(make, log_scale, *sources))  # type: ignore[no-untyped-call]


class _Together(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, make: Make, log_scale: Tensor | None, *sources: Tensor) -> tuple[Tensor, ...]:
        scale = exponential(log_scale)
        made = [make(k, source, scale) for k, source in enumerate(sources)]
        weights, slopes = zip(*made, strict=True)
        ctx.save_for_backward(scale, *slopes, *(() if scale is None else weights))
        ctx.set_materialize_grads(False)
        return weights

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        n, (scale, *saved) = len(grads), ctx.saved_tensors
        weights = saved[n:] or [None] * n
        _, scale_needed, *needed = ctx.needs_input_grad
        run = _backward if is_plain(grads) else discrete_backward
        total: Tensor | None = None
        found: list[Tensor | None] = []
        for grad, made, slopes, need in zip(grads, weights, saved, needed, strict=False):  # weights follow the slopes
            if grad is None:
                found.append(None)
                continue
            from_source, from_scale = run(grad, made, slopes, scale, [need, scale_needed])
            found.append(from_source if need else None)
            if scale_needed:
                total = from_scale if total is None else total.add_(from_scale)
        return None, total, *found
