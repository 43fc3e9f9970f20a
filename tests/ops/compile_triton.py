"""Compiles every Triton kernel for a GPU that need not be here, and prints what each takes, as JSON.

python tests/ops/compile_triton.py 90 lstm
"""

import json
import re
import sys
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from bitgate.cells import CELL_GATES
from bitgate.ops import triton_kernels
from bitgate.ops.triton_launch import Problem

CASES = [
    ("held", 64, torch.float32),
    ("held", 64, torch.bfloat16),
    ("tiles", 200, torch.float32),
    ("tiles", 512, torch.bfloat16),
]
POINTERS = {"w": {torch.float32: "*fp32", torch.bfloat16: "*bf16"}, "lengths": "*i32"}
OPTIONS = ("num_warps", "enable_fp_fusion")


def compile_kernel(kernel: Any, constants: dict[str, Any], dtype: torch.dtype, capability: int) -> Any:
    constants = constants | ({"KEEP": True} if "KEEP" in kernel.arg_names else {})
    signature: dict[str, str] = {}
    for name in kernel.arg_names:
        is_size = name in ("B", "T", "begin", "end")
        found: Any = "constexpr" if name in constants else "i32" if is_size else POINTERS.get(name, "*fp32")
        signature[name] = found[dtype] if isinstance(found, dict) else found
    values = {name: value for name, value in constants.items() if name in signature}
    source = ASTSource(kernel, signature, constexprs=values)
    options = {name: constants[name] for name in OPTIONS}
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


def main(capability: int, cell: Any) -> None:
    levels = (0, 2, 3, 0)[: len(CELL_GATES[cell])]
    rows = []
    for kind, hidden, dtype in CASES:
        state, weights = torch.empty(64, hidden), torch.empty(len(levels) * hidden, hidden, dtype=dtype)
        problem = Problem(cell, levels, state, state, weights, torch.empty(64), 128)
        plan = problem.plan()
        assert plan.held == (kind == "held")
        for direction in ("forward", "backward"):
            kernel = getattr(triton_kernels, f"{direction}_{kind}")
            made = compile_kernel(kernel, problem.constants(plan), dtype, capability)
            products = len(re.findall(r"mma\.sync|wgmma\.mma", made.asm["ptx"]))
            rows.append({"kernel": f"{direction}_{kind}", "hidden": hidden, "dtype": str(dtype)})
            rows[-1] |= {"shared_bytes": made.metadata.shared, "products": products}
    print(json.dumps(rows))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
