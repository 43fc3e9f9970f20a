"""The tables of docs/targets.md from mcu_cmsis.json, beside our rows of mcu.json."""

from typing import Any

Row = dict[str, Any]
Shape = tuple[int, int]


def markdown(theirs: list[Row], ours: list[Row]) -> str:
    """What CMSIS-NN takes, then what our layers take in parts of it."""
    ours = [row for row in ours if (row["target"], row["gates"], row["defines"]) == ("cortex-m4", "smooth", [])]
    lanes = [row for row in ours if row["kernels"] == "lanes"]
    return "\n\n".join((_theirs(theirs, lanes), _flash(theirs, lanes), _smallest(theirs, ours), _counts(theirs, lanes)))


def shape_of(row: Row) -> Shape:
    """Inputs and units."""
    return row["input_size"], row["hidden_size"]


def flash(row: Row) -> int:
    """Bytes of an image."""
    return row["code_bytes"] + row["constant_bytes"]


def _shapes(rows: list[Row]) -> list[Shape]:
    return list(dict.fromkeys(map(shape_of, rows)))


def _line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _head(*names: str) -> list[str]:
    return [_line(*names), "|" + "---|" * len(names)]


def _theirs(theirs: list[Row], ours: list[Row]) -> str:
    shapes = _shapes(theirs)
    lines = _head("compiler, options", "code", *(f"({i}, {h}): instructions" for i, h in shapes))
    builds = dict.fromkeys((row["compiler"], row["optimize"], tuple(row["defines"])) for row in theirs)
    for compiler, optimize, defines in sorted(builds, key=lambda build: (build[0], build[2])):
        rows = [
            row
            for row in theirs
            if (row["compiler"], row["optimize"], tuple(row["defines"])) == (compiler, optimize, defines)
        ]
        (code,) = {row["code_bytes"] for row in rows}
        told = " ".join((f"{compiler}, `-{optimize}`", *(f"`{define}`" for define in defines)))
        lines.append(_line(told, code, *(f"{row['instructions']:.0f}" for row in rows)))
    quoted = {shape_of(row): row["quoted_cmsis_nn"] for row in ours}
    return "\n".join(
        (*lines, _line("quoted: hosted gcc", "3.9 kB with the table", *(quoted[shape] for shape in shapes)))
    )


def _at(rows: list[Row], shape: Shape, **wanted: object) -> list[Row]:
    return [row for row in rows if shape_of(row) == shape and all(row[name] == wanted[name] for name in wanted)]


def _ours(ours: list[Row], shape: Shape) -> list[Row]:
    """Of one shape: coupled with -Os and -O2, then with four gates."""
    return [
        row
        for coupled in (True, False)
        for optimize in ("Os", "O2")
        for row in _at(ours, shape, coupled=coupled, optimize=optimize)
    ]


def _cells(row: Row) -> tuple[str, str, str]:
    return (
        f"({row['input_size']}, {row['hidden_size']})",
        "coupled" if row["coupled"] else "LSTM",
        f"-{row['optimize']}",
    )


def _flash(theirs: list[Row], ours: list[Row]) -> str:
    names = ("ours", "CMSIS-NN, same build", "of it", "smallest of all", "of it")
    lines = _head("(I, H)", "cell", "option", *names)
    for shape in _shapes(theirs):
        least = min(map(flash, _at(theirs, shape)))
        for row in _ours(ours, shape):
            (same,) = map(flash, _at(theirs, shape, compiler="zig", optimize=row["optimize"], defines=[]))
            own = flash(row)
            lines.append(_line(*_cells(row), own, same, f"{own / same:.3f}", least, f"{own / least:.3f}"))
    return "\n".join(lines)


def _smallest(theirs: list[Row], ours: list[Row]) -> str:
    """Flash of coupled layers with -Os, by kind of kernels, in parts of the same build."""
    kinds = ("lanes", "plain", "plain dense")
    lines = _head("(I, H)", "CMSIS-NN, -Os", *(name for kind in kinds for name in (kind, "of it")))
    for shape in _shapes(theirs):
        (same,) = map(flash, _at(theirs, shape, compiler="zig", optimize="Os", defines=[]))
        rows = [_at(ours, shape, coupled=True, optimize="Os", kernels=kind)[0] for kind in kinds]
        cells = (cell for row in rows for cell in (flash(row), f"{flash(row) / same:.3f}"))
        lines.append(_line(f"({shape[0]}, {shape[1]})", same, *cells))
    return "\n".join(lines)


def _counts(theirs: list[Row], ours: list[Row]) -> str:
    names = ("CMSIS-NN, same build", "of it", "fastest default", "of it", "fastest of all", "of it")
    lines = _head("(I, H)", "cell", "option", "ours", *names, "of quoted")
    for shape in _shapes(theirs):
        for row in _ours(ours, shape):
            (same,) = _at(theirs, shape, compiler="zig", optimize=row["optimize"], defines=[])
            bests = (
                same["instructions"],
                min(other["instructions"] for other in _at(theirs, shape, defines=[])),
                min(other["instructions"] for other in _at(theirs, shape)),
            )
            own = row["instructions"]
            parts = (cell for best in bests for cell in (f"{best:.0f}", f"{own / best:.3f}"))
            lines.append(_line(*_cells(row), f"{own:.0f}", *parts, f"{own / row['quoted_cmsis_nn']:.3f}"))
    return "\n".join(lines)
