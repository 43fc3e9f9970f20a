"""Reading members of archives and tables of numbers in text, with errors that name file and line."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitgate.errors import DataError


@contextmanager
def damaged_archive(path: Path) -> Iterator[None]:
    """Turn the many ways in which a broken archive fails into one DataError that names it."""
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: damaged archive ({error})") from error


def tar_texts(path: Path, endings: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Name and text of each file in a .tar.gz whose name ends so, in archive order, without unpacking it."""
    with damaged_archive(path), tarfile.open(path, "r|gz") as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(endings):
                content = archive.extractfile(member)
                if content is not None:
                    yield member.name, content.read().decode("ascii")


def parse_rows(text: str, where: str, columns: int, separator: str | None = None) -> NDArray[np.float64]:
    """The numbers of a text table, (lines, columns); blank lines are skipped.

    Args:
        text: the whole table.
        where: file named in errors.
        columns: numbers per line.
        separator: between numbers; None means white space.

    Raises:
        DataError: names the file and the first line that has another number of columns or no number.
    """
    rows = [line.split(separator) for line in text.splitlines()]
    for number, row in enumerate(rows, 1):
        if len(row) not in (0, columns):
            raise DataError(f"{where}, line {number}: {len(row)} columns, but {columns} are needed")
    try:
        values = np.array([row for row in rows if row], np.float64)
    except ValueError:
        raise _first_bad_number(rows, where) from None
    if values.size == 0:
        raise DataError(f"{where}: no numbers, but lines of {columns} are needed")
    return values


def _first_bad_number(rows: list[list[str]], where: str) -> DataError:
    for number, row in enumerate(rows, 1):
        for value in row:
            try:
                float(value)
            except ValueError:
                return DataError(f"{where}, line {number}: {value!r} is not a number")
    return DataError(f"{where}: not a table of numbers")


def parse_whole(text: str, where: str, columns: int) -> NDArray[np.int64]:
    """Like ``parse_rows`` for whole numbers.

    Raises:
        DataError: as there, or a number with a fraction.
    """
    values = parse_rows(text, where, columns)
    whole = values.astype(np.int64)
    if (whole != values).any():
        row, column = np.argwhere(whole != values)[0]
        line = [number for number, content in enumerate(text.splitlines(), 1) if content.split()][row]
        raise DataError(f"{where}, line {line}: {values[row, column]} is not a whole number")
    return whole
