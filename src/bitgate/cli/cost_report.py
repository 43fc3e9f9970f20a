"""The cost of a frozen model as `bitgate info` tells it: bits, bytes, operations, energy, flash and RAM by target."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bitgate.errors import ToolError, UnsupportedError
from bitgate.export import c99
from bitgate.export.c_fast import KERNELS, Kernels, check_kernels
from bitgate.export.c_header import state_sizes
from bitgate.export.c_operations import kernel_operations
from bitgate.export.targets import TARGETS, build_image
from bitgate.frozen import FrozenModel, energy
from bitgate.report import print_table

USUAL_TARGETS = ("cortex-m0", "cortex-m4", "rv32")
"""Targets that are measured where none is named and the extra ``mcu`` is installed, each with its fastest kernels."""

_FASTEST: dict[str, tuple[Kernels, ...]] = {
    "cortex-m0": ("table", "plain"),
    "cortex-m4": ("lanes", "table", "plain"),
    "rv32": ("table", "plain"),
    "host": ("plain",),
}

HINT = "this machine only; pip install 'bitgate[mcu]' for cortex-m0, cortex-m4, cortex-m7, rv32 and wasm"


def fitting_kernels(frozen: FrozenModel) -> list[Kernels]:
    """Kinds of kernels that the model can be exported with; none if it cannot be exported."""
    found: list[Kernels] = []
    for kernels in KERNELS:
        try:
            check_kernels(frozen, kernels)
        except UnsupportedError:
            continue
        found.append(kernels)
    return found


def target_rows(frozen: FrozenModel, target: str | None) -> list[dict[str, Any]]:
    """Flash and RAM of the linked image for each target and kind of kernels.

    Args:
        frozen: the model.
        target: a name or "all", with every kind of kernels; None for the usual ones, or without the extra for this
            machine, with the fastest.

    Raises:
        ToolError: a compiler is missing for a target that was asked for by name.
        UnsupportedError: the model cannot be exported to C.
    """
    fitting = fitting_kernels(frozen)
    if target is None:
        usual: tuple[str, ...] = USUAL_TARGETS if find_spec("ziglang") else ("host",)
        chosen = [(name, next(k for k in _FASTEST[name] if k in fitting)) for name in usual]
    else:
        targets = tuple(TARGETS) if target == "all" else (target,)
        chosen = [(name, kernels) for name in targets for kernels in fitting]
    with ThreadPoolExecutor() as pool:  # the work is the compilers', which are processes
        return list(pool.map(lambda pair: _measure(frozen, *pair), chosen))


def _measure(frozen: FrozenModel, target: str, kernels: Kernels) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bitgate-info-") as folder:
        c99(frozen, folder, kernels=kernels)
        image = build_image(frozen, Path(folder), TARGETS[target], kernels=kernels)
    return {
        "target": target,
        "kernels": kernels,
        "code_bytes": image.code_bytes,
        "constant_bytes": image.constant_bytes,
        "flash_bytes": image.code_bytes + image.constant_bytes,
        "ram_bytes": 2 * sum(state_sizes(frozen, kernels)) + image.data_bytes,
        "compiler": image.compiler,
    }


def operation_rows(frozen: FrozenModel) -> list[dict[str, Any]]:
    """Operations and energy of a step: what the arithmetic needs, what each kind of kernels executes, float32."""
    constants = energy.step_bytes(frozen)
    counts = [("needed, zeros free", frozen.cost().operations, constants, energy.INT32_PJ)]
    counts += [
        (f"{kernels} kernels", kernel_operations(frozen, kernels), constants, energy.INT32_PJ)
        for kernels in fitting_kernels(frozen)
    ]
    counts.append(("the same in float32", *energy.float32_operations(frozen), energy.FLOAT32_PJ))
    return [
        {"way": way, **asdict(operations), "energy": energy.estimate(operations, size, pj).as_dict()}
        for way, operations, size, pj in counts
    ]


def report(frozen: FrozenModel, target: str | None, show: bool) -> dict[str, Any]:
    """Prints operations, energy and sizes, and gives them for JSON.

    Raises:
        ToolError: a target that was asked for by name cannot be built.
        UnsupportedError: the model cannot be exported, and a target was asked for by name.
    """
    operations = operation_rows(frozen)
    if show:
        _show_operations(frozen, operations)
    try:
        sizes, reason = target_rows(frozen, target), None
    except (ToolError, UnsupportedError) as error:
        if target is not None:
            raise
        sizes, reason = [], str(error).splitlines()[0]
    if show:
        _show_sizes(sizes, reason)
    return {
        "operations": operations,
        "energy_source": energy.SOURCE,
        "energy_assumptions": energy.ASSUMPTIONS,
        "targets": sizes,
        "targets_missing": reason,
    }


def _show_operations(frozen: FrozenModel, rows: list[dict[str, Any]]) -> None:
    cost = frozen.cost()
    print_table(
        "one time step, all recurrent layers",
        ("", "additions", "products", "look-ups", "energy, nJ", "of it memory"),
        [
            (
                row["way"],
                *(row[name] for name in ("additions", "multiplications", "lookups")),
                f"{row['energy']['total_pj'] / 1000:.1f}",
                f"{row['energy']['memory_pj'] / 1000:.1f}",
            )
            for row in rows
        ],
        caption=(
            f"{cost.zero_weights} of {cost.n_weights} weights are 0: free in what is needed, but the kernels spend as "
            f"much on them as on others. Energy: {energy.SOURCE}; {energy.ASSUMPTIONS}"
        ),
    )


def _show_sizes(rows: list[dict[str, Any]], reason: str | None) -> None:
    names = ("code_bytes", "constant_bytes", "flash_bytes", "ram_bytes")
    caption = reason or "; ".join(
        dict.fromkeys(f"{row['target']}: {row['compiler'].split(' -')[0]} -Os" for row in rows)
    )
    if reason is None and not find_spec("ziglang"):
        caption = f"{caption}; {HINT}"
    print_table(
        "bytes by target",
        ("target", "kernels", "code", "constants", "flash", "RAM"),
        [(row["target"], row["kernels"], *(row[name] for name in names)) for row in rows],
        caption=caption,
    )
