"""One call for the loop over time, whichever backend runs it."""

import os
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from bitgate.errors import ArgumentError
from bitgate.ops import native, reference, vendor
from bitgate.ops.noise import normal_noise
from bitgate.ops.problem import LayerParameters, LoopResult, Recurrence, noise_shape

Backend = Literal["auto", "native", "vendor", "reference"]
BACKEND_VARIABLE = "BITGATE_BACKEND"


def choose_backend(recurrence: Recurrence, params: LayerParameters, backend: str | None = None) -> str:
    """The backend that will run the problem.

    Args:
        recurrence: cell and gates.
        params: weights and biases.
        backend: "native", "vendor", "reference" or "auto", the first of these that can run the problem;
            ``$BITGATE_BACKEND`` where None, else "auto".

    Raises:
        ArgumentError: an unknown name, or a backend that cannot run this problem.
    """
    wanted = backend or os.environ.get(BACKEND_VARIABLE) or "auto"
    if wanted not in get_args(Backend):
        raise ArgumentError(f"backend: {wanted!r}, expected one of {', '.join(get_args(Backend))}")
    for name, module in (("native", native), ("vendor", vendor)):
        why_not = module.refusal(recurrence, params) if wanted in ("auto", name) else None
        if wanted == name and why_not:
            raise ArgumentError(f"backend: {name!r} cannot run this layer: {why_not}; use 'reference' or 'auto'")
        if wanted == name or (wanted == "auto" and not why_not):
            return name
    return "reference"


def recurrent(
    recurrence: Recurrence,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    params: LayerParameters,
    *,
    lengths: Tensor | None = None,
    reverse: bool = False,
    noise: Tensor | None = None,
    backend: str | None = None,
) -> LoopResult:
    """Runs one layer in one direction over whole sequences, time first.

    Args:
        recurrence: cell and gates.
        x: ``(T, B, I)``.
        h: ``(B, H or P)``.
        c: ``(B, H)``, None for a GRU.
        params: weights and biases, scales multiplied in.
        lengths: ``(B,)`` descending, or None where all sequences have T steps.
        reverse: from each sequence's end to its beginning; the output stays in the order of the input.
        noise: of the lr-trick (``noise_shape``), in the order in which the steps are run; drawn where None. Every
            backend draws the same from the same seed.
        backend: see ``choose_backend``.

    Returns:
        Outputs, zero behind the ends, and the state at each sequence's end (its beginning if reversed).
    """
    run = _RUN[choose_backend(recurrence, params, backend)]
    if reverse:
        x = flip(x, lengths)
    if noise is None and params.is_random:
        like = x.float() if x.dtype.itemsize < torch.float32.itemsize else x  # coarse noise would be biased
        noise = normal_noise(like, noise_shape(recurrence, x, params))
    result = run(recurrence, x, h, c, params, lengths, noise)
    return result._replace(output=flip(result.output, lengths)) if reverse else result


# torch.compile takes the native operator whole; the other two it would unroll step by step, for minutes.
_RUN: dict[str, Any] = {
    "native": native.run,
    "vendor": torch.compiler.disable(vendor.run),  # type: ignore[no-untyped-call]
    "reference": torch.compiler.disable(reference.run),  # type: ignore[no-untyped-call]
}


def flip(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Reverses every sequence of ``(T, B, ...)`` within its own length; the padding stays behind."""
    if lengths is None:
        return x.flip(0)
    steps = torch.arange(x.shape[0], device=x.device).unsqueeze(1)
    ends = lengths.to(x.device).unsqueeze(0)
    index = torch.where(steps < ends, ends - 1 - steps, steps)
    return x.gather(0, index.unsqueeze(-1).expand_as(x))
