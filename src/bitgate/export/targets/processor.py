"""ARM and RISC-V processors in the emulator unicorn."""

from pathlib import Path
from typing import Any

from bitgate.errors import ToolError
from bitgate.export import elf
from bitgate.export.targets.block_counter import BlockCounter
from bitgate.export.targets.freestanding import FLASH_START, RAM_BYTES, RAM_START
from bitgate.export.targets.target import Target
from bitgate.export.targets.toolchain import require_tool

_PAGE = 4096
_STACK_BYTES = 4096
_FILL = 0xA5  # of the stack before a call: what differs afterwards was used


class Processor:
    """A processor with the image in read-only flash, 1 MiB of RAM, and its stack at the end of that."""

    def __init__(self, target: Target, path: Path) -> None:
        self._unicorn = require_tool("unicorn")
        self._name = target.name
        self._is_thumb = target.name.startswith("cortex")
        self._engine = _open_engine(self._unicorn, target.name)
        self._symbols = elf.symbols(path)
        code = self._load(elf.segments(path))
        # Functions return to an address behind the flash's content, where the run ends.
        self._exit = FLASH_START + len(code) - _PAGE
        self._registers = _registers(self._unicorn, self._is_thumb)
        self._counter = BlockCounter(self._unicorn, self._engine, FLASH_START, code, is_thumb=self._is_thumb)
        self._stack_bottom = RAM_START + RAM_BYTES - _STACK_BYTES
        self.write(self._stack_bottom, bytes([_FILL]) * _STACK_BYTES)

    def _load(self, segments: list[elf.Segment]) -> bytes:
        """Maps and fills memory; returns the content of flash, up to whole pages and one more."""
        flash = [segment for segment in segments if segment.address < RAM_START]
        end = max(segment.address + segment.size for segment in flash) - FLASH_START
        content = bytearray(-(-end // _PAGE) * _PAGE + _PAGE)
        for segment in flash:
            at = segment.address - FLASH_START
            content[at : at + len(segment.content)] = segment.content
        if len(flash) != len(segments):
            raise ToolError(f"{self._name}: the image has variables; the kernels and constants should need none")
        unicorn, engine = self._unicorn, self._engine
        engine.mem_map(FLASH_START, len(content), unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        engine.mem_map(RAM_START, RAM_BYTES, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)
        engine.mem_write(FLASH_START, bytes(content))
        return bytes(content)

    @property
    def free_memory(self) -> int:
        """Address of RAM that the program does not use."""
        return RAM_START

    @property
    def stack_bytes(self) -> int:
        """The deepest stack of all calls so far."""
        stack = self.read(self._stack_bottom, _STACK_BYTES)
        used = len(stack.lstrip(bytes([_FILL])))
        if used == _STACK_BYTES:
            raise ToolError(f"{self._name}: the program used {_STACK_BYTES} bytes of stack or more")
        return -(-used // 4) * 4

    def address(self, symbol: str) -> int:
        """Address of a constant of the image."""
        if symbol not in self._symbols:
            raise ToolError(f"{self._name}: the image has no symbol {symbol}")
        return self._symbols[symbol]

    def call(self, function: str, *arguments: int) -> tuple[int, int]:
        """Calls a function of up to four arguments: its result, and the instructions until it returned."""
        engine, registers = self._engine, self._registers
        start = self.address(function)
        engine.reg_write(registers["stack"], RAM_START + RAM_BYTES)
        engine.reg_write(registers["return"], self._exit | int(self._is_thumb))
        for register, value in zip(registers["arguments"], arguments, strict=False):
            engine.reg_write(register, value)
        before = self._counter.instructions
        try:
            engine.emu_start(start, self._exit)
        except self._unicorn.UcError as error:
            at = engine.reg_read(registers["counter"])
            raise ToolError(f"{self._name}: {function} failed at {at:#x}: {error}") from error
        result = engine.reg_read(registers["arguments"][0]) & 0xFFFF_FFFF
        return result - (result >> 31 << 32), self._counter.instructions - before

    def read(self, address: int, size: int) -> bytes:
        """Bytes of memory."""
        return bytes(self._engine.mem_read(address, size))

    def write(self, address: int, content: bytes) -> None:
        """Overwrites memory."""
        self._engine.mem_write(address, content)


def _open_engine(unicorn: Any, name: str) -> Any:
    if name == "rv32":
        return unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
    engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    core = name.replace("-", "_").upper()
    engine.ctl_set_cpu_model(getattr(unicorn.arm_const, f"UC_CPU_ARM_{core}"))
    return engine


def _registers(unicorn: Any, is_thumb: bool) -> dict[str, Any]:
    if is_thumb:
        arm = unicorn.arm_const
        arguments = [arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_R3]
        names = (arm.UC_ARM_REG_SP, arm.UC_ARM_REG_LR, arm.UC_ARM_REG_PC)
    else:
        riscv = unicorn.riscv_const
        arguments = [riscv.UC_RISCV_REG_A0, riscv.UC_RISCV_REG_A1, riscv.UC_RISCV_REG_A2, riscv.UC_RISCV_REG_A3]
        names = (riscv.UC_RISCV_REG_SP, riscv.UC_RISCV_REG_RA, riscv.UC_RISCV_REG_PC)
    return {"arguments": arguments, **dict(zip(("stack", "return", "counter"), names, strict=True))}
