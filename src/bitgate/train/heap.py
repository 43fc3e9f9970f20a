"""Freed memory stays with a process that trains."""

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h
_KEPT_BYTES = 256 << 20
_LARGEST_HEAP_BLOCK = 32 << 20  # what glibc allows on 64-bit systems


def keep_freed_memory() -> bool:
    """Has glibc keep up to 256 MiB of freed memory, and take blocks up to 32 MiB from it; False with another libc.

    A training step frees some megabytes and asks for them again. Left alone, glibc gives them back to the system or
    not as the blocks happen to lie; if it does, every step pays for thousands of page faults, up to half its time.
    It holds for the whole process.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    options = ctypes.CDLL(None).mallopt
    return bool(options(_MMAP_THRESHOLD, _LARGEST_HEAP_BLOCK)) and bool(options(_TRIM_THRESHOLD, _KEPT_BYTES))
