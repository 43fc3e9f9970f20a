"""The targets by name."""

import difflib
from dataclasses import dataclass
from typing import Literal

from bitgate.errors import ArgumentError

Emulator = Literal["native", "unicorn", "wasmtime"]


@dataclass(frozen=True)
class Target:
    """A processor that the exported program is compiled for, and what executes it here."""

    name: str
    meaning: str
    emulator: Emulator
    flags: tuple[str, ...]  # of the compiler; empty for this machine's own
    unit: str  # of the exact count of a step; empty where there is none


_BARE = ("-nostartfiles", "-fomit-frame-pointer", "-ffunction-sections", "-fdata-sections")


def _thumb(name: str, core: str) -> Target:
    flags = ("-target", "thumb-freestanding-eabi", f"-mcpu={core}", *_BARE)
    return Target(name, f"ARM {name.replace('-m', '-M').title()}, soft float", "unicorn", flags, "instructions")


_RV32 = ("-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m+c", *_BARE)
_WASM = ("-target", "wasm32-freestanding", "-mcpu=mvp")

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("host", "this machine", "native", (), ""),
        _thumb("cortex-m0", "cortex_m0"),
        _thumb("cortex-m4", "cortex_m4"),
        _thumb("cortex-m7", "cortex_m7"),
        Target("rv32", "RISC-V rv32imc", "unicorn", _RV32, "instructions"),
        Target("wasm", "WebAssembly, first version without SIMD", "wasmtime", _WASM, "units of wasmtime's fuel"),
    )
}
"""All targets; the first is this machine."""


def find_target(name: str) -> Target:
    """The target called ``name``.

    Raises:
        ArgumentError: there is none.
    """
    if name not in TARGETS:
        close = difflib.get_close_matches(name, TARGETS, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ArgumentError(f"target: {name!r}: {hint}expected one of {', '.join(TARGETS)}")
    return TARGETS[name]
