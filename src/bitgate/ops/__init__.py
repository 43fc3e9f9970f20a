"""The loop over time: one signature, several backends."""

from bitgate.ops.problem import LayerParameters, LoopResult, Matrix, Moments, Recurrence
from bitgate.ops.recurrent import BACKEND_VARIABLE, choose_backend, recurrent
from bitgate.ops.reference import product, realize

__all__ = [
    "BACKEND_VARIABLE",
    "LayerParameters",
    "LoopResult",
    "Matrix",
    "Moments",
    "Recurrence",
    "choose_backend",
    "product",
    "realize",
    "recurrent",
]
