"""What a program without operating system needs besides the export: a linker script and the header of memcpy.

There is no start-up code: an image holds the kernels and the constants only, and the driver calls its functions.
"""

from collections.abc import Sequence
from pathlib import Path

FLASH_START, FLASH_BYTES = 0x0800_0000, 16 << 20
RAM_START, RAM_BYTES = 0x2000_0000, 1 << 20

_LINKER_SCRIPT = f"""
MEMORY {{
    FLASH (rx) : ORIGIN = {FLASH_START:#x}, LENGTH = {FLASH_BYTES}
    RAM (rw) : ORIGIN = {RAM_START:#x}, LENGTH = {RAM_BYTES}
}}
SECTIONS {{
    .text : {{ *(.text .text.*) }} > FLASH
    .rodata : {{ *(.rodata .rodata.* .srodata .srodata.* .data.rel.ro .data.rel.ro.*) }} > FLASH
    .data : {{ *(.data .data.* .sdata .sdata.*) }} > RAM
    .bss : {{ *(.bss .bss.* .sbss .sbss.* COMMON) }} > RAM
    /DISCARD/ : {{ *(.ARM.exidx*) *(.ARM.extab*) *(.comment) *(.eh_frame*) }}
}}
"""

# The kernels need two functions of the C library; Zig's compiler support has both but no header. As built-ins they
# become instructions where a processor has them, as WebAssembly does.
_STRING_H = """
#ifndef BG_FREESTANDING_STRING_H
#define BG_FREESTANDING_STRING_H
#include <stddef.h>
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
#if defined(__wasm_bulk_memory__)
#define memcpy __builtin_memcpy
#define memset __builtin_memset
#endif
#endif
"""


def write_support(folder: Path) -> None:
    """Writes linker script and header into ``folder``, where the compiler then runs."""
    (folder / "image.ld").write_text(_LINKER_SCRIPT, encoding="utf-8")
    (folder / "include").mkdir()
    (folder / "include" / "string.h").write_text(_STRING_H, encoding="utf-8")


def elf_options(roots: Sequence[str]) -> list[str]:
    """Compiler and linker options of a bare-metal image that keeps ``roots`` and what they need.

    ``-g`` changes no instruction; without it Zig drops the symbols when it compiles for size.
    """
    kept = [f"-Wl,-u,{root}" for root in roots]
    return ["-g", "-Iinclude", "-Wl,-T,image.ld", "-Wl,--gc-sections", f"-Wl,-e,{roots[0]}", *kept]


def wasm_options(roots: Sequence[str]) -> list[str]:
    """Compiler and linker options of a module that exports ``roots`` and the start of free memory."""
    kept = [f"-Wl,--export={root}" for root in (*roots, "__heap_base")]
    return ["-Iinclude", "-Wl,--no-entry", "-Wl,--strip-debug", *kept]
