"""Runs frozen models in Python: on vector kernels where they are built, else on the NumPy interpreter."""

from bitgate.runtime.binding import native_available, native_status
from bitgate.runtime.engines import MAX_THREADS
from bitgate.runtime.session import Session
from bitgate.runtime.simd import SIMD_VARIABLE, simd_path, supported_paths

__all__ = [
    "MAX_THREADS",
    "SIMD_VARIABLE",
    "Session",
    "native_available",
    "native_status",
    "simd_path",
    "supported_paths",
]
