"""Microseconds per step of the WebAssembly modules in Node, by kernels, with and without SIMD (docs/wasm.md).

python benchmarks/wasm.py
python benchmarks/wasm.py --rounds 3 --out quick.json

Coupled ternary layers with smooth gates, 8-bit states, driven by bitgate.js from input codes. Variants take turns, and
the least time of all rounds counts: machines are noisy, so believe the ratios. Each variant is first compared with the
interpreter; one that differs ends the run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from mcu import random_model

from bitgate import export
from bitgate.export.c_fast import KERNELS
from bitgate.export.wasm_build import build_module
from bitgate.frozen import FrozenModel
from bitgate.report import print_table

SHAPES = ((4, 64), (64, 32), (9, 128), (128, 64))
STEPS = 500
OUT = Path(__file__).parent / "results" / "wasm.json"

SCRIPT = """
import { readFileSync } from "node:fs";
const { Model } = await import(process.argv[1]);
const model = await Model.load(process.argv[2]);
const codes = Int16Array.from(JSON.parse(readFileSync(0, "utf8")));
const stream = model.stream();
let best = Infinity;
for (let round = 0; round < 6; ++round) { // the first rounds warm up the compiler
  stream.reset();
  const start = performance.now();
  stream.runCodes(codes);
  best = Math.min(best, performance.now() - start);
}
console.log(JSON.stringify({ best, state: [...stream.state] }));
"""


def run_node(script: Path, module: Path, codes: np.ndarray) -> dict[str, object]:
    command = ["node", "--input-type=module", "-e", SCRIPT, script.as_uri(), str(module)]
    done = subprocess.run(command, input=json.dumps(codes.ravel().tolist()), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def build(model: FrozenModel, folder: Path) -> dict[tuple[str, bool], Path]:
    """Modules by kernels and SIMD."""
    modules = {}
    for kernels in KERNELS:
        for simd in (False, True):
            export.c99(model, folder / "c", kernels=kernels)
            content, _ = build_module(model, folder / "c", kernels, simd=simd)
            path = folder / f"{kernels}-{simd}.wasm"
            path.write_bytes(content)
            modules[kernels, simd] = path
    return modules


def measure(model: FrozenModel, folder: Path, rounds: int) -> list[dict[str, object]]:
    """A row for each variant."""
    export.wasm(model, folder / "package")
    script = folder / "package" / "bitgate.js"
    rng = np.random.default_rng(1)
    codes = rng.integers(-127, 128, (STEPS, model.input_size)).astype(np.int16)
    x = (codes / model.input_map.gain + model.input_map.mean).astype(np.float32)
    trace = model.trace(x[None])
    expected = [*trace.h[0][0, -1].tolist(), *trace.c[0][0, -1].tolist()]
    modules = build(model, folder)
    best: dict[tuple[str, bool], float] = {}
    for _ in range(rounds):
        for variant, path in modules.items():
            told = run_node(script, path, model.quantize(x))
            if told["state"] != expected:
                sys.exit(f"{variant}: the module does not compute the interpreter's integers")
            best[variant] = min(best.get(variant, float("inf")), float(told["best"]) / STEPS * 1000)
    return [
        {
            "input_size": model.input_size,
            "hidden_size": model.flat_layers[0].hidden_size,
            "kernels": kernels,
            "simd": simd,
            "step_us": round(time, 2),
            "module_bytes": modules[kernels, simd].stat().st_size,
        }
        for (kernels, simd), time in best.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="turns of all variants")
    parser.add_argument("--out", type=Path, default=OUT, help="JSON file to write")
    arguments = parser.parse_args()
    rows = []
    for input_size, hidden_size in SHAPES:
        with tempfile.TemporaryDirectory(prefix="bitgate-wasm-") as folder:
            model = random_model(input_size, hidden_size, "coupled_lstm", {}, 8)
            rows += measure(model, Path(folder), arguments.rounds)
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print_table("microseconds per step", tuple(rows[0]), [tuple(row.values()) for row in rows])
    machine = {"node": node, "cpu": cpu_name(), "cores": os.cpu_count()}
    arguments.out.write_text(json.dumps({"machine": machine, "steps": STEPS, "rows": rows}, indent=1) + "\n")


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main()
