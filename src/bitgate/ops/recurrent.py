"""One call for the loop over time, whichever backend runs it."""

import os
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from bitgate.errors import ArgumentError
from bitgate.ops import native, reference, triton_backend, vendor
from bitgate.ops.noise import normal_noise
from bitgate.ops.problem import LayerParameters, LoopResult, Recurrence, noise_shape
from bitgate.ops.triton_launch import is_interpreted

Backend = Literal["auto", "native", "vendor", "triton", "reference"]
BACKEND_VARIABLE = "BITGATE_BACKEND"
_BACKENDS = get_args(Backend)


def choose_backend(recurrence: Recurrence, params: LayerParameters, backend: str | None = None) -> str:
    """The backend that will run the problem.

    Args:
        recurrence: cell and gates.
        params: weights and biases.
        backend: "native", "vendor", "triton", "reference" or "auto", the first of these that can run the problem;
            ``$BITGATE_BACKEND`` where None, else "auto".

    Raises:
        ArgumentError: an unknown name, or a backend that cannot run this problem.
    """
    wanted = backend or os.environ.get(BACKEND_VARIABLE) or "auto"
    if wanted not in _BACKENDS:
        raise ArgumentError(f"backend: {wanted!r}, expected one of {', '.join(_BACKENDS)}")
    for name, module in (("native", native), ("vendor", vendor), ("triton", triton_backend)):
        if wanted not in ("auto", name) or (wanted == "auto" and name == "triton" and is_interpreted()):
            continue  # an interpreter runs only where it is asked for
        why_not = module.refusal(recurrence, params)
        if not why_not:
            return name
        if wanted == name:
            raise ArgumentError(f"backend: {name!r} cannot run this layer: {why_not}; use 'reference' or 'auto'")
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
    anchor: Tensor | None = None,
    position: Tensor | None = None,
    backend: str | None = None,
) -> LoopResult:
    """Runs one layer in one direction over whole sequences, time first.

    Args:
        recurrence: cell, gates, sharing and skip.
        x: ``(T, B, I)``.
        h: ``(B, H or P)``.
        c: ``(B, H)``, None for a GRU or a gated RNN.
        params: weights and biases, scales multiplied in.
        lengths: ``(B,)`` descending, or None where all sequences have T steps.
        reverse: from each sequence's end to its beginning; the output stays in the order of the input.
        noise: of the lr-trick (``noise_shape``), in the order in which the steps are run; drawn where None. Every
            backend draws the same from the same seed.
        anchor: of a block skip ``(B, H)``: h where the block began; ``h`` where None.
        position: of a block skip ``(B,)``: steps run since the block began; 0 where None.
        backend: see ``choose_backend``.

    Returns:
        Outputs, zero behind the ends, and the state at each sequence's end (its beginning if reversed).

    Raises:
        ArgumentError: parameters of sharing or skip that the recurrence does not have, or lack of them.
    """
    _check_options(recurrence, params)
    run = _RUN[choose_backend(recurrence, params, backend)]
    if reverse:
        x = flip(x, lengths)
    if noise is None and params.is_random:
        like = x.float() if x.dtype.itemsize < torch.float32.itemsize else x  # coarse noise would be biased
        noise = normal_noise(like, noise_shape(recurrence, x, params))
    if recurrence.skip is not None and recurrence.skip.kind == "block":
        anchor = h if anchor is None else anchor
        position = torch.zeros(x.shape[1], dtype=torch.int64) if position is None else position
    else:
        anchor = position = None
    result = run(recurrence, x, h, c, params, lengths, noise, anchor, position)
    return result._replace(output=flip(result.output, lengths)) if reverse else result


def _check_options(recurrence: Recurrence, params: LayerParameters) -> None:
    wanted = {"gate_scale": recurrence.sharing is not None, "skip_scale": recurrence.skip is not None}
    for name, is_wanted in wanted.items():
        if (getattr(params, name) is not None) != is_wanted:
            reason = "sharing" if name == "gate_scale" else "skip"
            raise ArgumentError(
                f"{name}: {'expected' if is_wanted else 'given'}, but {reason} is {getattr(recurrence, reason)}"
            )
    if recurrence.sharing is not None and recurrence.cell != "gru" and params.bias_hh is not None:
        raise ArgumentError("bias_hh: given, but gates that share projections have one bias, bias_ih")
    if recurrence.skip is not None and recurrence.cell not in ("lstm", "coupled_lstm"):
        raise ArgumentError(f"skip: {recurrence.skip}, but the cell {recurrence.cell!r} is no LSTM")


# torch.compile takes the native and the Triton operator whole; the other two it would unroll step by step, for minutes.
_RUN: dict[str, Any] = {
    "native": native.run,
    "triton": triton_backend.run,
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
