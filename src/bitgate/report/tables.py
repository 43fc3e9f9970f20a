"""Tables for the terminal."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str | None = None
) -> None:
    """Prints a table to stdout; columns of numbers stand to the right. No header where all names are empty."""
    console = Console(markup=False, highlight=False)
    cells = [[str(cell) for cell in row] for row in rows]
    table = Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_header=any(columns),
    )
    for index, name in enumerate(columns):
        numeric = all(_is_number(row[index]) for row in cells)
        # Names stay whole unless they would leave no room; explanations to their right may wrap.
        is_name = index == 0 and max((len(row[0]) for row in cells), default=0) <= console.width * 2 // 3
        table.add_column(name, justify="right" if numeric else "left", no_wrap=is_name, overflow="fold")
    for row in cells:
        table.add_row(*row)
    console.print(table)


def _is_number(text: str) -> bool:
    return not text or text.lstrip("+-")[:1].isdigit()
