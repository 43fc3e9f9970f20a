"""Tables for the terminal."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str | None = None
) -> None:
    """Prints a table to stdout; the first column is text, the others stand to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", caption=caption, caption_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console().print(table)
