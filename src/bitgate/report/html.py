"""One HTML file with tables and pictures inside it, that needs nothing else to be shown."""

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .75rem; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }
td:not(:first-child) { font-variant-numeric: tabular-nums; }
img { max-width: 100%; }
figure { margin: 1rem 0; }
figcaption { color: #555; }
"""


class Page:
    """Collects headings, texts, tables and pictures in the order in which they are added.

    Args:
        title: of the page.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts: list[str] = []

    def heading(self, text: str, level: int = 2) -> None:
        """Adds a heading."""
        self._parts.append(f"<h{level}>{html.escape(text)}</h{level}>")

    def text(self, text: str) -> None:
        """Adds a paragraph."""
        self._parts.append(f"<p>{html.escape(text)}</p>")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Adds a table; no header where all names are empty."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
        lines = [f"<tr>{head}</tr>"] if any(columns) else []
        for row in rows:
            lines.append("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>")
        self._parts.append("<table>\n" + "\n".join(lines) + "\n</table>")

    def picture(self, path: Path, caption: str) -> None:
        """Adds a PNG file, as part of the page."""
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        source = f'<img alt="{html.escape(caption)}" src="data:image/png;base64,{data}">'
        self._parts.append(f"<figure>{source}<figcaption>{html.escape(caption)}</figcaption></figure>")

    def write(self, path: Path) -> None:
        """Writes the file, under a temporary name first."""
        title = html.escape(self._title)
        body = "\n".join(self._parts)
        text = (
            f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>'
            f"<style>{_STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
        )
        temporary = path.with_name(f"{path.name}.tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
