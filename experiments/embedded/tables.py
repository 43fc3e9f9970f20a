"""The tables of the README, from the rows of results/."""

from typing import Any

from rich.console import Console
from rich.table import Table
from verification import digest

BITS = ("16", "13", "8")
LIMITS = {"uci-har": (30_000, 3000, 1500), "mnist-strokes": (10_000, 2500, 800)}
"""Flash, RAM with fast kernels and RAM with plain ones that a network may take at most."""

Row = dict[str, Any]


def latest(rows: list[Row], *names: str) -> list[Row]:
    """The last row of every combination of ``names``, in the order of their first."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        found[tuple(row[name] for name in names)] = row
    return list(found.values())


def _kernels(row: Row) -> str:
    """Kind of the kernels, marked where the files have changed since."""
    is_current = row["kernels_digest"] == digest(row.get("kernel_files", ()))
    return str(row["kernels"]) + ("" if is_current else " (older)")


def accuracy_table(rows: list[Row]) -> Table:
    """Accuracies on the whole test part in %.

    In brackets, of how many sequences fewer bits make a wrong and a right one. The first training of a network has
    states that are not rounded; others follow that were trained with states of so many bits.
    """
    columns = ("data", "gates", "trained with", "epochs", "n", "torch", *(f"{bits} bits" for bits in BITS))
    table = Table(*columns, title="Test accuracy, %; sequences lost, gained against 16 bits")
    for row in latest(rows, "dataset", "gates", "trained_bits"):
        accuracy = row["accuracy"]
        frozen, changed = accuracy["frozen"], accuracy["changed"]
        cells = [
            f"{100 * frozen[bits]:.2f}" + ("" if bits == "16" else " (-{}, +{})".format(*changed[bits]))
            for bits in BITS
        ]
        trained = "floats" if row["trained_bits"] is None else f"{row['trained_bits']} bits"
        head = (row["dataset"], row["gates"], trained, str(row["epochs"]), str(accuracy["n_test"]))
        table.add_row(*head, f"{100 * accuracy['float']:.2f}", *cells)
    return table


def verify_table(rows: list[Row]) -> Table:
    """What was compared, and the exact counts."""
    table = Table("target", "kernels", "bits", "data", "gates", "sequences", "integers", "equal", "per step", "stack")
    table.title = "Against the interpreter, every state of every step and every logit"
    for row in latest(rows, "target", "kernels", "dataset", "gates"):
        counted = "" if row["step_count_mean"] is None else f"{row['step_count_mean']:.0f}"
        equal = "all" if row["is_equal"] else row["difference"]
        kernels = _kernels(row)
        table.add_row(
            *(row["target"], kernels, str(row["state_bits"]), row["dataset"], row["gates"]),
            *(str(row["n_sequences"]), str(row["n_values"]), equal, counted, str(row["stack_bytes"] or "")),
        )
    return table


def size_table(rows: list[Row]) -> Table:
    """Bytes beside their limits."""
    table = Table("data", "gates", "target", "kernels", "option", "code", "constants", "flash", "of", "RAM", "of")
    table.title = "Bytes of the linked image; 'of': what the network may take at most"
    for row in latest(rows, "dataset", "gates", "target", "kernels", "optimize"):
        flash, fast, plain = LIMITS[row["dataset"]]
        kernels = _kernels(row)
        table.add_row(
            *(row["dataset"], row["gates"], row["target"], kernels, row["optimize"]),
            *(str(row[key]) for key in ("code_bytes", "constant_bytes", "flash_bytes")),
            *(str(flash), str(row["ram_bytes"]), str(plain if row["kernels"] == "plain" else fast)),
        )
    return table


def show(results: dict[str, list[Row]]) -> None:
    """Prints all tables."""
    console = Console(width=120)
    if results["train"]:
        console.print(accuracy_table(results["train"]))
    if results["sizes"]:
        console.print(size_table(results["sizes"]))
    if results["verify"]:
        console.print(verify_table(results["verify"]))
