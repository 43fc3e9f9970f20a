"""Export to WebAssembly: one or two modules, the JavaScript class that runs them, its types and a README."""

import json
import os
import shutil
import tempfile
from importlib.resources import files
from pathlib import Path

from bitgate.errors import ArgumentError, UnsupportedError
from bitgate.export.c_fast import Kernels, check_kernels
from bitgate.export.c_package import export_c99
from bitgate.export.wasm_build import build_module
from bitgate.frozen import FrozenModel

FIXED_FILES = ("bitgate.js", "bitgate.d.ts")
FASTEST: tuple[Kernels, Kernels] = ("table", "lanes")  # without and with SIMD
PACKAGE = {
    "name": "bitgate-model",
    "version": "1.0.0",
    "private": True,
    "type": "module",
    "exports": {".": {"types": "./bitgate.d.ts", "default": "./bitgate.js"}, "./*.wasm": "./*.wasm"},
    "types": "./bitgate.d.ts",
}


def export_wasm(
    frozen: FrozenModel, directory: str | os.PathLike[str], *, kernels: Kernels | None = None
) -> list[Path]:
    """Writes ``frozen`` as WebAssembly with a JavaScript class into ``directory`` (docs/wasm.md).

    ``model.wasm`` runs everywhere. Beside it lies ``model-simd.wasm`` for kernels that gain by SIMD ("lanes", "plain");
    ``bitgate.js`` takes what the engine can run. The files are made beside ``directory`` and then moved.

    Args:
        frozen: the model.
        directory: folder to write to, made if missing.
        kernels: as for ``c99``, for both modules; None takes the fastest that fits for each.

    Returns:
        Paths of the written files, sorted.

    Raises:
        ArgumentError: no such ``kernels``, or ``directory`` is a file.
        UnsupportedError: the model is bidirectional, or ``kernels`` do not fit it.
        ToolError: no compiler, or it fails.
    """
    target = Path(directory)
    if target.exists() and not target.is_dir():
        raise ArgumentError(f"directory: {target} is a file, expected a folder or a new name")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as temporary:
        folder = Path(temporary) / "package"
        folder.mkdir()
        _write(frozen, folder, Path(temporary) / "c", kernels)
        written = sorted(path.name for path in folder.iterdir())
        target.mkdir(exist_ok=True)
        for name in written:
            (folder / name).replace(target / name)
    if "model-simd.wasm" not in written:
        (target / "model-simd.wasm").unlink(missing_ok=True)
    return [target / name for name in written]


def _write(frozen: FrozenModel, folder: Path, work: Path, kernels: Kernels | None) -> None:
    """Fills ``folder``; ``work`` is for the C program."""
    plainly, with_simd = (kernels or _fastest(frozen, wanted) for wanted in FASTEST)
    modules = {"model.wasm": (plainly, False)}
    if with_simd == "lanes" or plainly == "plain":  # tables gain nothing by SIMD: docs/wasm.md
        modules["model-simd.wasm"] = (with_simd, True)
    rows = []
    for name, (chosen, simd) in modules.items():
        export_c99(frozen, work, kernels=chosen)
        module, compiler = build_module(frozen, work, chosen, simd=simd)
        (folder / name).write_bytes(module)
        rows.append(f"| {name} | {len(module)} | {chosen} | {compiler} |")
    for name in FIXED_FILES:
        with (files("bitgate") / "export" / "js" / name).open("rb") as source, (folder / name).open("wb") as copy:
            shutil.copyfileobj(source, copy)
    (folder / "package.json").write_text(json.dumps(PACKAGE, indent=2) + "\n", encoding="utf-8", newline="\n")
    (folder / "README.md").write_text(_readme(frozen, rows), encoding="utf-8", newline="\n")


def _fastest(frozen: FrozenModel, wanted: Kernels) -> Kernels:
    """``wanted`` if the model fits them, else the plain ones."""
    try:
        check_kernels(frozen, wanted)
    except UnsupportedError:
        return "plain"
    return wanted


def _readme(frozen: FrozenModel, rows: list[str]) -> str:
    modules = "\n".join(rows)
    use = (
        "stream.predict() // class so far; stream.logits() gives the integers" if frozen.readout else "stream.output()"
    )
    return f"""# A frozen recurrent model in WebAssembly

Written by bitgate: the integers of the interpreter in Python, in browsers, workers and Node, without dependencies.

    import {{ Model }} from "./bitgate.js";

    const model = await Model.load(); // or Model.load(address, path, bytes or compiled module)
    const stream = model.stream(); // as many as there are streams of data
    stream.step(features); // {frozen.input_size} raw values in the units of the training data, each time step
    {use}
    stream.reset(); // before the next sequence

`stream.run` takes many steps at once, `stepCodes` and `runCodes` take integer input codes, `state` saves, restores and
forks a stream. `bitgate.d.ts` declares everything. A server must send `.wasm` files, type `application/wasm` if it can.

| module | bytes | kernels | compiler |
|---|---|---|---|
{modules}

`Model.load()` takes `model-simd.wasm`, where it exists and the engine has SIMD, else `model.wasm`.
"""
