"""The forms in which sequences reach a recurrent module, brought to one normal form and back.

The normal form is time first, ``(T, B, I)``, the longest sequence first, with descending lengths (None where all
sequences are equally long). Padded input with lengths, packed and unbatched input all pass through it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from bitgate.errors import ArgumentError, ShapeError


@dataclass(frozen=True)
class Sequences:
    """Normal form of an input, with what is needed to give the output the form of the input."""

    x: Tensor  # (T, B, I), sorted by descending length
    lengths: Tensor | None  # (B,) int64 on the CPU, descending
    order: Tensor | None  # (B,) normal position -> position in the input
    batch_sizes: Tensor | None  # of a packed input
    batched: bool
    batch_first: bool

    def sort(self, state: Tensor) -> Tensor:
        """A state ``(layers, B, H)`` in the order of the input to the normal order."""
        return state if self.order is None else state.index_select(1, self.order.to(state.device))

    def unsort(self, state: Tensor) -> Tensor:
        """Inverse of ``sort``; the axis B goes if the input had none."""
        if self.order is not None:
            state = state.index_select(1, torch.argsort(self.order).to(state.device))
        return state if self.batched else state.squeeze(1)

    def dropout(self, x: Tensor, probability: float) -> Tensor:
        """Dropout between layers; on packed data where the input was packed, as torch does."""
        if self.batch_sizes is None or self.lengths is None:
            return torch.nn.functional.dropout(x, probability, training=True)
        packed = pack_padded_sequence(x, self.lengths)
        data = torch.nn.functional.dropout(packed.data, probability, training=True)
        return pad_packed_sequence(PackedSequence(data, packed.batch_sizes), total_length=x.shape[0])[0]

    def restore(self, output: Tensor) -> Tensor | PackedSequence:
        """Output ``(T, B, H)`` of the normal form in the form of the input."""
        if self.batch_sizes is not None and self.lengths is not None:
            data = pack_padded_sequence(output, self.lengths).data
            unsorted = None if self.order is None else torch.argsort(self.order)
            return PackedSequence(data, self.batch_sizes, self.order, unsorted)
        if self.order is not None:
            output = output.index_select(1, torch.argsort(self.order).to(output.device))
        if not self.batched:
            return output.squeeze(1)
        return output.transpose(0, 1) if self.batch_first else output


def normalize(x: Tensor | PackedSequence, lengths: Tensor | None, *, input_size: int, batch_first: bool) -> Sequences:
    """Brings an input to the normal form.

    Args:
        x: ``(T, B, I)``, ``(B, T, I)`` if ``batch_first``, ``(T, I)``, or packed.
        lengths: ``(B,)`` integers from 1 to T for padded input.
        input_size: I.
        batch_first: layout of a padded ``x``.

    Raises:
        ShapeError: a wrong number of dimensions, features or lengths, or no time step.
        ArgumentError: lengths beside packed or unbatched input.
    """
    if isinstance(x, PackedSequence):
        if lengths is not None:
            raise ArgumentError("lengths: a PackedSequence carries its own lengths; leave this argument out")
        _check_features(x.data.shape[-1], input_size)
        padded, sizes = pad_packed_sequence(PackedSequence(x.data, x.batch_sizes))
        return Sequences(padded, sizes, x.sorted_indices, x.batch_sizes, True, batch_first)
    if x.dim() not in (2, 3):
        raise ShapeError(f"input: expected 2 (unbatched) or 3 dimensions, got {x.dim()} in shape {tuple(x.shape)}")
    _check_features(x.shape[-1], input_size)
    if x.shape[0 if x.dim() == 2 or not batch_first else 1] == 0:
        raise ShapeError(f"input: expected at least one time step, got shape {tuple(x.shape)}")
    if x.dim() == 2:
        if lengths is not None:
            raise ArgumentError("lengths: unbatched input is one sequence; leave this argument out")
        return Sequences(x.unsqueeze(1), None, None, None, False, batch_first)
    x = x.transpose(0, 1) if batch_first else x
    if lengths is None:
        return Sequences(x, None, None, None, True, batch_first)
    ends = check_lengths(lengths, batch=x.shape[1], steps=x.shape[0])
    ends, order = torch.sort(ends, descending=True, stable=True)
    return Sequences(x.index_select(1, order.to(x.device)), ends, order, None, True, batch_first)


def check_lengths(lengths: Tensor, *, batch: int, steps: int) -> Tensor:
    """Lengths as int64 on the CPU.

    Raises:
        ShapeError: not one integer from 1 to ``steps`` for each of ``batch`` sequences, or no sequence.
    """
    lengths = torch.as_tensor(lengths)
    if lengths.shape != (batch,) or lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise ShapeError(f"lengths: expected {batch} integers, got {lengths.dtype} of shape {tuple(lengths.shape)}")
    lengths = lengths.detach().to("cpu", torch.int64)
    if batch == 0:
        raise ShapeError("lengths: empty, expected at least one sequence")
    if int(lengths.min()) < 1 or int(lengths.max()) > steps:
        raise ShapeError(f"lengths: found {int(lengths.min())} to {int(lengths.max())}, expected 1 to {steps}")
    return lengths


def _check_features(found: int, expected: int) -> None:
    if found != expected:
        raise ShapeError(f"input: expected {expected} features on the last axis (input_size), got {found}")
