"""Tables for the terminal."""

from collections.abc import Iterable, Sequence
from textwrap import fill

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table

_SHORT = 12
"""Characters of the widest cell of a column that never wraps."""

_FOLD = 4
"""Characters that a folded header keeps at least."""

_WORD = 6
"""Characters that a column of longer texts keeps at least."""


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str | None = None
) -> None:
    """Prints a table to stdout; columns of numbers stand to the right. No header where all names are empty."""
    console = Console(markup=False, highlight=False)
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max((len(row[index]) for row in cells), default=0) for index in range(len(columns))]
    is_tight = sum(max(width, len(name)) + 2 for width, name in zip(widths, columns, strict=True)) > console.width
    table = Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_header=any(columns),
        padding=(0, 0) if is_tight else (0, 1),
        collapse_padding=True,
    )
    # What the other columns need at least, each with a space: the short ones all of it, the others room for a word.
    others = sum((max(width, _FOLD) if width <= _SHORT else _WORD) + 1 for width in widths[1:])
    for index, (name, width) in enumerate(zip(columns, widths, strict=True)):
        numeric = all(_is_number(row[index]) for row in cells)
        # Where room is short, headers fold first, then names; numbers and words stay whole, explanations may wrap.
        is_short = index > 0 and width <= _SHORT
        is_name = index == 0 and width <= console.width * 2 // 3 and width + others + 2 <= console.width
        header = fill(name, max(width, _FOLD)) if is_tight and is_short else name
        justify: JustifyMethod = "right" if numeric else "left"
        table.add_column(header, justify=justify, no_wrap=is_name or is_short, overflow="fold")
    for row in cells:
        table.add_row(*row)
    console.print(table)


def _is_number(text: str) -> bool:
    return not text or text.lstrip("+-")[:1].isdigit()
