"""Runs frozen models in Python: on the native C kernels where they are built, else on the NumPy interpreter."""

from bitgate.runtime.binding import native_available, native_status
from bitgate.runtime.session import Session

__all__ = ["Session", "native_available", "native_status"]
