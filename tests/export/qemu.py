"""Exported programs on emulated boards: another compiler and another emulator than those of ``bitgate verify``."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bitgate.export.build import model_sources

STUBS = Path(__file__).parent / "stubs"
_SEMIHOSTING = ("-nographic", "-semihosting-config", "enable=on,target=native")
_BARE = ("--specs=rdimon.specs", "-nostartfiles", "-T", str(STUBS / "cortex_m.ld"), str(STUBS / "cortex_m.c"))
_RISCV = {"__flash": 0x8000_0000, "__flash_size": 0x20_0000, "__ram": 0x8020_0000, "__ram_size": 0x20_0000}


@dataclass(frozen=True)
class Board:
    """What builds for a board and what emulates it."""

    compiler: str
    flags: tuple[str, ...]
    emulator: tuple[str, ...]

    @property
    def missing(self) -> str:
        """Which of its tools are absent."""
        return ", ".join(tool for tool in (self.compiler, self.emulator[0]) if shutil.which(tool) is None)


def _cortex(core: str, machine: str, *floats: str) -> Board:
    flags = (f"-mcpu={core}", "-mthumb", *(floats or ("-mfloat-abi=soft",)), *_BARE)
    return Board("arm-none-eabi-gcc", flags, ("qemu-system-arm", "-M", machine, *_SEMIHOSTING))


BOARDS = {
    "cortex-m0": _cortex("cortex-m0", "microbit"),
    "cortex-m4": _cortex("cortex-m4", "mps2-an386", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
    "cortex-m7": _cortex("cortex-m7", "mps2-an500", "-mfloat-abi=hard", "-mfpu=fpv5-d16"),
    "rv32": Board(
        "riscv64-unknown-elf-gcc",
        (
            *("-march=rv32imac", "-mabi=ilp32", "--specs=picolibc.specs", "--oslib=semihost", "--crt0=hosted"),
            *(f"-Wl,--defsym={name}={value:#x}" for name, value in _RISCV.items()),
        ),
        ("qemu-system-riscv32", "-M", "virt", "-bios", "none", *_SEMIHOSTING),
    ),
}


def build_program(folder: Path, board: Board, optimize: str = "O2") -> Path:
    """Builds the export in ``folder`` unchanged; the result is a script that runs it like a program of this machine."""
    output = folder / "board"
    output.mkdir()
    sources = [str(path.resolve()) for path in model_sources(folder)]
    example = ("-include", str(STUBS / "harness.h"), "-c", "-o", "main.o", str((folder / "main.c").resolve()))
    common = (board.compiler, "-std=gnu11", f"-{optimize}", f"-I{(folder / 'src').resolve()}", *board.flags)
    target = tuple(flag for flag in board.flags if flag.startswith("-m") or flag == "--specs=picolibc.specs")
    _call([*common[:4], *target, *example], output)
    _call([*common, "main.o", str(STUBS / "harness.c"), *sources, "-o", "program.elf"], output)
    script = output / "program"
    # QEMU shows what RISC-V programs print one character at a time on stderr.
    emulator = " ".join(board.emulator)
    script.write_text(f'#!/bin/sh\ncd "{output.resolve()}"\n{{ echo "$@"; cat; }} > input.txt\n'
                      f"exec {emulator} -kernel program.elf < /dev/null 2>&1\n")  # fmt: skip
    script.chmod(0o755)
    return script


def _call(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
