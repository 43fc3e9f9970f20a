"""Exporters: a frozen model as a program that needs neither Python nor this package."""

from bitgate.export.build import (
    CodeBytes,
    ProgramTrace,
    code_bytes,
    compile_host,
    compile_objects,
    find_compiler,
    run_program,
    trace_program,
)
from bitgate.export.c_package import export_c99 as c99
from bitgate.export.onnx_file import export_onnx as onnx
from bitgate.export.wasm_package import export_wasm as wasm

__all__ = [
    "CodeBytes",
    "ProgramTrace",
    "c99",
    "code_bytes",
    "compile_host",
    "compile_objects",
    "find_compiler",
    "onnx",
    "run_program",
    "trace_program",
    "wasm",
]
