"""The loop over time: one signature, several backends."""

from bitgate.ops.native_kernel import SIMD_PATHS, SIMD_VARIABLE, simd_path, training_kernel_status
from bitgate.ops.problem import LayerParameters, LoopResult, Matrix, Moments, Recurrence, Skip, noise_shape
from bitgate.ops.recurrent import BACKEND_VARIABLE, choose_backend, recurrent
from bitgate.ops.reference import product, realize

__all__ = [
    "BACKEND_VARIABLE",
    "SIMD_PATHS",
    "SIMD_VARIABLE",
    "LayerParameters",
    "LoopResult",
    "Matrix",
    "Moments",
    "Recurrence",
    "Skip",
    "choose_backend",
    "noise_shape",
    "product",
    "realize",
    "recurrent",
    "simd_path",
    "training_kernel_status",
]
