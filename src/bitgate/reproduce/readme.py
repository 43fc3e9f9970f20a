"""The README beside a grid: its tables are put there by the command that makes them, not by hand."""

from pathlib import Path

from bitgate.errors import FormatError


def insert(readme: Path, name: str, text: str) -> bool:
    """Replaces what stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``; False where there are no such marks.

    Raises:
        FormatError: the second mark is missing.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if not readme.is_file() or begin not in (old := readme.read_text()):
        return False
    before, _, rest = old.partition(begin)
    _, mark, after = rest.partition(end)
    if not mark:
        raise FormatError(f"{readme}: {begin} has no {end} behind it")
    new = f"{before}{begin}\n{text.strip()}\n{end}{after}"
    if new != old:
        temporary = readme.with_suffix(".tmp")
        temporary.write_text(new)
        temporary.replace(readme)
    return True
