"""Exact instruction counts: a hook in C that adds up the instructions of every block the emulator enters.

Unicorn's hook on single instructions breaks up the IT blocks of ARMv7-M and then computes something else; its hook on
blocks leaves the code as it is. The hook is C because it runs once for every few instructions.
"""

import ctypes
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from bitgate.errors import ToolError
from bitgate.export.targets.toolchain import call_zig

_SOURCE = """
#include <stdint.h>

struct counter {
    uint64_t instructions;
    uint64_t start;      /* address of the first byte of code */
    uint64_t size;       /* bytes of code */
    const uint8_t *code;
    int32_t is_thumb;    /* 1: Thumb-2, 0: RISC-V with compressed instructions */
    int32_t is_outside;  /* set when a block does not lie in code */
};

static int is_long(const struct counter *counter, uint64_t at) {
    unsigned half = counter->code[at] | (unsigned)counter->code[at + 1] << 8;
    return counter->is_thumb ? half >= 0xe800 : (half & 3) == 3;
}

#if defined(_WIN32)
__declspec(dllexport)
#endif
void bg_count_block(void *engine, uint64_t address, uint32_t size, struct counter *counter) {
    uint64_t at = address - counter->start, end = at + size;
    (void)engine;
    if (at > counter->size || end > counter->size) {
        counter->is_outside = 1;
        return;
    }
    while (at < end) {
        at += is_long(counter, at) ? 4 : 2;
        ++counter->instructions;
    }
}
"""


class _Counter(ctypes.Structure):
    _fields_ = (
        ("instructions", ctypes.c_uint64),
        ("start", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("code", ctypes.c_char_p),
        ("is_thumb", ctypes.c_int32),
        ("is_outside", ctypes.c_int32),
    )


@cache
def _hook() -> Any:
    """The compiled hook; built once for each process."""
    folder = Path(tempfile.mkdtemp(prefix="bitgate-hook-"))
    (folder / "hook.c").write_text(_SOURCE, encoding="utf-8")
    call_zig(["-O2", "-shared", "-fPIC", "-o", "hook.so", "hook.c"], folder)
    library = ctypes.CDLL(str(folder / "hook.so"))
    _remove(folder)
    return library.bg_count_block


def _remove(folder: Path) -> None:
    """Deletes the library's folder where the system lets go of a loaded file; Windows keeps it until reboot."""
    for path in folder.iterdir():
        try:
            path.unlink()
        except PermissionError:
            return
    folder.rmdir()


class BlockCounter:
    """Counts the instructions that an engine executes inside ``code``, which begins at address ``start``."""

    def __init__(self, unicorn: Any, engine: Any, start: int, code: bytes, *, is_thumb: bool) -> None:
        self._counter = _Counter(0, start, len(code), code, int(is_thumb), 0)
        handle = ctypes.c_size_t()
        library = unicorn.unicorn_py3.unicorn.uclib
        function = ctypes.cast(_hook(), ctypes.c_void_p)
        data = ctypes.cast(ctypes.byref(self._counter), ctypes.c_void_p)
        every = (ctypes.c_uint64(1), ctypes.c_uint64(0))  # begin above end: all addresses
        status = library.uc_hook_add(engine._uch, ctypes.byref(handle), unicorn.UC_HOOK_BLOCK, function, data, *every)
        if status != unicorn.UC_ERR_OK:
            raise ToolError(f"unicorn: the block hook was refused with status {status}")

    @property
    def instructions(self) -> int:
        """Instructions so far.

        Raises:
            ToolError: the program left its code.
        """
        if self._counter.is_outside:
            raise ToolError("the program left its code")
        return int(self._counter.instructions)
