"""What the driver needs of an emulator, and the driver: it calls the program's functions and reads its memory."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bitgate.errors import ToolError
from bitgate.export.build import ProgramTrace
from bitgate.export.c_fast import Kernels
from bitgate.export.c_header import state_sizes
from bitgate.export.targets.image import READOUT_ROOT
from bitgate.frozen import FrozenModel

_GUARD = bytes(range(0xA1, 0xB1))  # between the buffers: whoever writes beyond one is found out
_READOUT_OFFSET = 4  # of the pointer in bg_model, where pointers have 32 bits


class Machine(Protocol):
    """A processor with 32-bit pointers and one loaded image."""

    @property
    def free_memory(self) -> int:
        """Address of RAM that the program does not use."""
        ...

    def address(self, symbol: str) -> int:
        """Address of a constant of the image."""
        ...

    def call(self, function: str, *arguments: int) -> tuple[int, int]:
        """Calls a function: its result as an int32, and the exact number of instructions until it returned."""
        ...

    def read(self, address: int, size: int) -> bytes:
        """Bytes of memory."""
        ...

    def write(self, address: int, content: bytes) -> None:
        """Overwrites memory."""
        ...


class Driver:
    """One stream of steps on a machine, with the buffers that a firmware would own."""

    def __init__(self, machine: Machine, frozen: FrozenModel, name: str, kernels: Kernels) -> None:
        self._machine, self._frozen = machine, frozen
        state, scratch = state_sizes(frozen, kernels)
        sizes = {"state": 2 * state, "scratch": 2 * scratch, "x": 2 * frozen.input_size}
        at = (machine.free_memory + 7) & ~7
        self._guards = []
        self._buffers: dict[str, int] = {}
        for key, size in sizes.items():
            self._guards += [at, at + len(_GUARD) + size]
            self._buffers[key] = at + len(_GUARD)
            at = (self._guards[-1] + len(_GUARD) + 7) & ~7
        for guard in self._guards:
            machine.write(guard, _GUARD)
        self._state_bytes = sizes["state"]
        self._params = machine.address(f"{name}_params")

    def run(self, codes: NDArray[np.int16]) -> tuple[ProgramTrace, list[int], int]:
        """Every state of one sequence of input codes ``(T, I)``, instructions of each step and of all logits."""
        machine, buffers = self._machine, self._buffers
        machine.call("bg_model_reset", self._params, buffers["state"])
        values, counts = [], []
        for x in codes:
            machine.write(buffers["x"], x.astype("<i2").tobytes())
            arguments = (self._params, buffers["state"], buffers["scratch"], buffers["x"])
            counts.append(machine.call("bg_model_step", *arguments)[1])
            values.append(np.frombuffer(machine.read(buffers["state"], self._state_bytes), dtype="<i2"))
        states = np.array(values)
        logits, readout_count = self._logits()
        self._check_guards()
        return _as_trace(self._frozen, states, logits), counts, readout_count

    def _logits(self) -> tuple[list[int] | None, int]:
        if self._frozen.readout is None:
            return None, 0
        readout = int.from_bytes(self._machine.read(self._params + _READOUT_OFFSET, 4), "little")
        sizes = [layer.state_size for layer in self._frozen.flat_layers]
        h = self._buffers["state"] + 2 * sum(sizes[:-1])
        classes = range(self._frozen.output_size)
        results = [self._machine.call(READOUT_ROOT, readout, k, h) for k in classes]
        return [value for value, _ in results], sum(count for _, count in results)

    def _check_guards(self) -> None:
        for guard in self._guards:
            if self._machine.read(guard, len(_GUARD)) != _GUARD:
                raise ToolError(f"the program wrote beyond its buffers, near address {guard:#x}")


def _as_trace(frozen: FrozenModel, states: NDArray[np.int16], logits: Sequence[int] | None) -> ProgramTrace:
    """Takes the state of all layers ``(T, S)`` apart."""
    h, c, at = [], [], 0
    for layer in frozen.flat_layers:
        size = layer.hidden_size
        h.append(states[:, at : at + size].astype(np.int32))
        c.append(states[:, at + size : at + 2 * size].astype(np.int32))
        at += layer.state_size
    output = h[-1][-1] if logits is None else np.array(logits, dtype=np.int32)
    return ProgramTrace(tuple(h), tuple(c), output)
