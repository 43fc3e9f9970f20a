"""The tables of docs/targets.md from the rows of mcu.json."""

from typing import Any

FAST = {"cortex-m0": "table", "cortex-m4": "lanes", "rv32": "table"}
"""The kernels that each core's limits are about."""

Row = dict[str, Any]


def markdown(rows: list[Row]) -> str:
    """Counts at -Os, the default, then those of the other builds."""
    return f"{_counts(rows)}\n\n{_builds(rows)}"


def _find(rows: list[Row], base: Row, kernels: str, gates: str = "smooth", build: tuple[str, ...] = ("Os",)) -> Row:
    """The row of the same core, shape and cell."""
    same = ("target", "input_size", "hidden_size", "coupled")
    (found,) = (
        row
        for row in rows
        if all(row[name] == base[name] for name in same)
        and (row["kernels"], row["gates"], (row["optimize"], *row["defines"])) == (kernels, gates, build)
    )
    return found


def _bases(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["kernels"] == "plain" and row["gates"] == "smooth"]


def _head(row: Row, kernels: str) -> str:
    cell = "coupled" if row["coupled"] else "LSTM"
    return f"| {row['target']}, {kernels} | ({row['input_size']}, {row['hidden_size']}) | {cell}"


def _part(row: Row, of: str, digits: int = 3) -> str:
    return f"{row['instructions'] / row[of]:.{digits}f}" if row[of] else ""


def _counts(rows: list[Row]) -> str:
    lines = [
        "| core, kernels | (I, H) | cell | plain | fast, smooth | fast, step c,o | int8 C | of int8 C | "
        "of int8, quoted | of CMSIS-NN, quoted |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for base in _bases(rows):
        kernels = FAST[base["target"]]
        smooth, step = (_find(rows, base, kernels, gates) for gates in ("smooth", "step c,o"))
        counts = (base["instructions"], smooth["instructions"], step["instructions"], smooth["int8_instructions"])
        parts = (_part(smooth, "int8_instructions", 2), _part(smooth, "quoted_int8"), _part(smooth, "quoted_cmsis_nn"))
        cells = " | ".join((*(f"{count:.0f}" for count in counts), *parts))
        lines.append(f"{_head(base, kernels)} | {cells} |")
    return "\n".join(lines)


def _builds(rows: list[Row]) -> str:
    lines = [
        "| core, kernels | (I, H) | cell | -Os: code | of quoted | -O2: code | of quoted | -O2, BG_ASSEMBLY=0: code | "
        "of quoted | RAM |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for base in (row for row in _bases(rows) if row["coupled"]):
        kernels = FAST[base["target"]]
        found = [_find(rows, base, kernels, build=build) for build in (("Os",), ("O2",), ("O2", "BG_ASSEMBLY=0"))]
        of = "quoted_cmsis_nn" if base["quoted_cmsis_nn"] else "quoted_int8"
        cells = " | ".join(f"{row['code_bytes']} | {_part(row, of)}" for row in found)
        lines.append(f"{_head(base, kernels)} | {cells} | {found[0]['ram_bytes']} |")
    return "\n".join(lines)
