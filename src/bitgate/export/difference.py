"""Where a program's run leaves the interpreter's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitgate.errors import ToolError
from bitgate.export.build import ProgramTrace
from bitgate.frozen import FrozenModel


@dataclass(frozen=True)
class Difference:
    """The first integer that differs: by sequence, then step, then layer, c before h, unit; the output comes last."""

    sequence: int
    step: int
    layer: int  # counted from 0; the number of layers for the output
    kind: str  # "c", "h" or "output": a logit, or the last hidden state of a model without readout
    unit: int
    expected: int
    found: int

    def __str__(self) -> str:
        layer = "output" if self.kind == "output" else f"layer {self.layer}, {self.kind}"
        return (
            f"sequence {self.sequence}, step {self.step}, {layer}, unit {self.unit}: "
            f"{self.found}, but the interpreter has {self.expected}"
        )


def reference(frozen: FrozenModel, sequences: Sequence[NDArray[np.float32]]) -> list[ProgramTrace]:
    """What the interpreter computes for sequences of raw features, each ``(T, I)``."""
    length = np.array([len(sequence) for sequence in sequences])
    x = np.zeros((len(sequences), length.max(), frozen.input_size), dtype=np.float32)
    for b, sequence in enumerate(sequences):
        x[b, : length[b]] = sequence
    trace = frozen.trace(x, length)
    found = []
    for b, steps in enumerate(length):
        h, c = (tuple(array[b, :steps].astype(np.int32) for array in arrays) for arrays in (trace.h, trace.c))
        found.append(ProgramTrace(h, c, h[-1][-1] if trace.logits is None else trace.logits[b]))
    return found


def find_difference(expected: Sequence[ProgramTrace], found: Sequence[ProgramTrace]) -> Difference | None:
    """The first difference of two runs over the same sequences, or None.

    Raises:
        ToolError: the program gave more or fewer values than the interpreter.
    """
    for sequence, (right, other) in enumerate(zip(expected, found, strict=True)):
        differences = list(_differences(sequence, right, other))
        if differences:
            # min keeps the first of equals: layers in order, c before h, the output behind them.
            return min(differences, key=lambda difference: difference.step)
    return None


def _differences(sequence: int, right: ProgramTrace, other: ProgramTrace) -> Iterator[Difference]:
    """The first difference of every array."""
    layers = len(right.h)
    steps = len(right.h[0]) if layers else 1
    arrays = [
        (k, kind, a[k], b[k])
        for k in range(layers)
        for kind, a, b in (("c", right.c, other.c), ("h", right.h, other.h))
    ]
    arrays.append((layers, "output", right.output[None], other.output[None]))
    for layer, kind, a, b in arrays:
        if a.shape != b.shape:
            raise ToolError(f"layer {layer}, {kind}: the program gave {b.shape} values, expected {a.shape}")
        where = np.argwhere(a != b)
        if len(where):
            step, unit = (int(index) for index in where[0])
            at = steps - 1 if kind == "output" else step
            yield Difference(sequence, at, layer, kind, unit, int(a[step, unit]), int(b[step, unit]))
