"""The tables of the README, from the rows of results/."""

from statistics import mean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table
from verification import digest

BITS = ("16", "13", "8")
LIMITS = {"uci-har": (30_000, 3000, 1500), "mnist-strokes": (10_000, 2500, 800)}
"""Flash, RAM with fast kernels and RAM with plain ones that a network may take at most."""

TEST_SEQUENCES = {"uci-har": 2947, "mnist-strokes": 2000, "epileptic": 2300, "auslan": 252}

Row = dict[str, Any]


def latest(rows: list[Row], *names: str) -> list[Row]:
    """The last row of every combination of ``names``, in the order of their first."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        found[tuple(row[name] for name in names)] = row
    return list(found.values())


def _older(row: Row) -> str:
    """Marks rows whose C files have changed since."""
    return "" if row["kernels_digest"] == digest(row["kernel_files"]) else " (older)"


def accuracy_table(rows: list[Row]) -> Table:
    """Accuracies on the whole test part in %.

    In brackets, of how many sequences fewer bits make a wrong and a right one. The first training of a network has
    states that are not rounded; others were fine-tuned from it, for so many epochs more, with inputs and states of so
    many bits.
    """
    columns = (
        "data",
        "gates",
        "trained with",
        "seed",
        "epochs",
        "val",
        "n",
        "torch",
        *(f"{bits} bits" for bits in BITS),
    )
    table = Table(*columns, title="Test accuracy, %; sequences lost, gained against 16 bits")
    for row in latest(rows, "dataset", "gates", "trained_bits", "seed"):
        accuracy = row["accuracy"]
        frozen, changed = accuracy["frozen"], accuracy["changed"]
        cells = [
            f"{100 * frozen[bits]:.2f}" + ("" if bits == "16" else " (-{}, +{})".format(*changed[bits]))
            for bits in BITS
        ]
        head = (row["dataset"], row["gates"], _trained_with(row["trained_bits"]))
        numbers = (
            row["seed"],
            row["epochs"],
            f"{100 * row['val']['map']:.2f}",
            accuracy["n_test"],
            f"{100 * accuracy['float']:.2f}",
        )
        table.add_row(*head, *map(str, numbers), *cells)
    return table


def cost_table(rows: list[Row]) -> Table:
    """Points that fewer bits gain, of networks trained with three seeds or more.

    Against the same network at 16 bits; the last column is a fine-tuned network, at the bits it was tuned with, against
    the training with floats at 16 bits that it started from.
    """
    table = Table("data", "gates", "trained with", "seeds", *(f"{bits} bits" for bits in BITS[1:]), "tuned - start")
    table.title = "Points gained against 16 bits, mean ± standard deviation over seeds"
    found = latest(rows, "dataset", "gates", "trained_bits", "seed")
    names = ("dataset", "gates", "trained_bits")
    for key in dict.fromkeys(tuple(row[name] for name in names) for row in found):
        own = [row for row in found if tuple(row[name] for name in names) == key]
        if len(own) < 3:
            continue
        starts = {row["seed"]: row for row in found if tuple(row[name] for name in names) == (*key[:2], None)}
        gains = [[_points(row, bits, row) for row in own] for bits in BITS[1:]]
        if key[2] is not None:
            gains.append([_points(row, str(key[2]), starts[row["seed"]]) for row in own])
        cells = (f"{mean(gain):+.2f} ± {stdev(gain):.2f}" for gain in gains)
        table.add_row(key[0], key[1], _trained_with(key[2]), str(len(own)), *cells)
    return table


def _points(row: Row, bits: str, reference: Row) -> float:
    """Points that a network with so many bits is above a reference with 16."""
    return float(100 * (row["accuracy"]["frozen"][bits] - reference["accuracy"]["frozen"]["16"]))


def _trained_with(bits: int | None) -> str:
    return "floats" if bits is None else f"{bits} bits"


def verify_table(rows: list[Row]) -> Table:
    """One line for each program, one column for each network: exact counts of a step, or that all was equal."""
    found = latest(rows, "target", "kernels", "dataset", "gates")
    networks = list(dict.fromkeys(f"{row['dataset']} {row['gates']}" for row in found))
    table = Table("target", "kernels", "bits", "sequences", *networks, "integers", "stack")
    table.title = (
        "Against the interpreter, every state of every step and every logit: counts of a step where all is equal"
    )
    for target, kernels in dict.fromkeys((row["target"], row["kernels"]) for row in found):
        own = {f"{r['dataset']} {r['gates']}": r for r in found if (r["target"], r["kernels"]) == (target, kernels)}
        counts = {row["n_sequences"] for row in own.values()}
        bits = {row["state_bits"] for row in own.values()}
        stack = max(row["stack_bytes"] or 0 for row in own.values())
        table.add_row(
            *(target, kernels, "/".join(map(str, sorted(bits)))),
            str(*counts) if len(counts) == 1 else "whole test parts",
            *(_verified(own.get(name), is_whole=len(counts) > 1) for name in networks),
            f"{sum(row['n_values'] for row in own.values()):,}",
            str(stack or ""),
        )
    return table


def _verified(row: Row | None, is_whole: bool) -> str:
    """Cell of one network; the number of sequences where not all of the test part was run as it is to be."""
    if row is None:
        return ""
    if is_whole and row["n_sequences"] < TEST_SEQUENCES[row["dataset"]]:
        return f"{_verified(row, is_whole=False)} ({row['n_sequences']} sequences)"
    text = "equal" if row["step_count_mean"] is None else f"{row['step_count_mean']:.0f}"
    return (text if row["is_equal"] else str(row["difference"])) + _older(row)


def size_table(rows: list[Row]) -> Table:
    """Flash by target, and RAM; in stars what lies beyond the limit."""
    found = latest(rows, "dataset", "gates", "target", "kernels", "optimize")
    targets = list(dict.fromkeys(row["target"] for row in found))
    table = Table("data", "gates", "kernels", "option", *targets, "limit", "RAM", "limit")
    table.title = "Bytes of the linked image; in stars: beyond the limit"
    names = ("dataset", "gates", "kernels", "optimize")
    for key in dict.fromkeys(tuple(row[name] for name in names) for row in found):
        own = {row["target"]: row for row in found if tuple(row[name] for name in names) == key}
        flash, fast, plain = LIMITS[key[0]]
        ram = plain if key[2] == "plain" else fast
        cells = [_within(own[t]["flash_bytes"], flash) + _older(own[t]) if t in own else "" for t in targets]
        used = max(row["ram_bytes"] for row in own.values())
        table.add_row(*key[:3], f"-{key[3]}", *cells, str(flash), _within(used, ram), str(ram))
    return table


def _within(value: int, limit: int) -> str:
    return str(value) if value <= limit else f"**{value}**"


def show(results: dict[str, list[Row]], is_markdown: bool = False) -> None:
    """Prints all tables."""
    makers = [("train", accuracy_table), ("train", cost_table), ("sizes", size_table), ("verify", verify_table)]
    tables = [make(results[stage]) for stage, make in makers if results[stage]]
    console = Console(width=160)
    for table in tables:
        if is_markdown:
            print(markdown(table), end="\n\n")
        else:
            console.print(table)


def markdown(table: Table) -> str:
    """The same table for the README."""
    heads = [str(column.header) for column in table.columns]
    rows = zip(*(column.cells for column in table.columns), strict=True)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
