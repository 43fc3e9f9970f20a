"""bitgate: LSTMs with 1- and 2-bit weights, from PyTorch training to the same integers in C.

Everything is imported on first use, so that running a frozen model never imports torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_SOURCES = {
    "freeze": "bitgate.freezing",
    "load": "bitgate.frozen",
    "FrozenModel": "bitgate.frozen",
}
_SUBMODULES = ("data", "errors", "export", "frozen", "gates", "nn", "report", "runtime", "train", "weights")

__all__ = ["__version__", *_SOURCES, *_SUBMODULES]


def __getattr__(name: str) -> Any:
    if name in _SOURCES:
        return getattr(import_module(_SOURCES[name]), name)
    if name in _SUBMODULES:
        return import_module(f"bitgate.{name}")
    raise AttributeError(f"module 'bitgate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
