"""A user's table in long form, Parquet or CSV: one row per step, columns sequence, step, features..., label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitgate.data.arrays import Array
from bitgate.data.sequences import as_float32
from bitgate.errors import DataError

_RESERVED = ("sequence", "step", "label")


@dataclass(frozen=True)
class LongTable:
    """A table put in order: sequences as they first appear, steps rising.

    Attributes:
        features: (steps, I) float32.
        length: (N,) steps of each sequence.
        labels: (N,) text or whole numbers, or None when there is no column of that name.
        names: (N,) the table's own name of each sequence, for errors.
        feature_names: the columns that are features, in the file's order.
    """

    features: NDArray[np.float32]
    length: NDArray[np.int64]
    labels: Array | None
    names: tuple[str, ...]
    feature_names: tuple[str, ...]


def read_table(path: Path) -> LongTable:
    """Read and order a long table; rows may come in any order.

    Raises:
        DataError: no such file, not a table, a column missing or of a wrong type, an empty cell, steps that
            are not consecutive from 0 or 1, or a label that changes within a sequence.
    """
    table = _open(path)
    features = tuple(name for name in table.column_names if name not in _RESERVED)
    for name in ("sequence", "step"):
        if name not in table.column_names:
            raise DataError(f"{path}: column {name!r} is missing; found {', '.join(table.column_names)}")
    if not features or table.num_rows == 0:
        raise DataError(f"{path}: {len(features)} feature columns and {table.num_rows} rows; at least one of each")
    code, names = _codes(table, "sequence", path)
    step = _numbers(table, "step", path, "iu")
    order = np.lexsort((step, code))
    code, step = code[order], step[order]
    length = np.bincount(code).astype(np.int64)
    _refuse_gaps(step, length, names, path)
    columns = [_numbers(table, name, path, "iuf")[order] for name in features]
    labels = _labels(table, order, length, names, path) if "label" in table.column_names else None
    return LongTable(as_float32(np.stack(columns, axis=1)), length, labels, names, features)


def _open(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import csv, parquet

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        return csv.read_csv(path) if path.suffix.lower() == ".csv" else parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable table ({str(error).splitlines()[0]})") from error


def _column(table: Any, name: str, path: Path) -> Any:
    column = table.column(name).combine_chunks()
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise DataError(f"{path}, column {name!r}, row {row}: no value; every cell needs one")
    return column


def _codes(table: Any, name: str, path: Path) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Number of each row's sequence in order of first appearance, and the sequences' names."""
    encoded = _column(table, name, path).dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), tuple(str(v) for v in encoded.dictionary.to_pylist())


def _numbers(table: Any, name: str, path: Path, kinds: str) -> Array:
    values: Array = _column(table, name, path).to_numpy(zero_copy_only=False)
    if values.dtype.kind not in kinds:
        wanted = "numbers" if "f" in kinds else "whole numbers"
        raise DataError(f"{path}, column {name!r}: {table.schema.field(name).type}, but {wanted} are needed")
    return values


def _refuse_gaps(step: Array, length: NDArray[np.int64], names: tuple[str, ...], path: Path) -> None:
    starts = np.cumsum(length) - length
    first = step[starts]
    wrong = np.flatnonzero((first != 0) & (first != 1))
    if len(wrong):
        i = wrong[0]
        raise DataError(f"{path}, sequence {names[i]}: the first step is {first[i]}, but steps must start at 0 or 1")
    jump = np.diff(step)
    jump[starts[1:] - 1] = 1
    wrong = np.flatnonzero(jump != 1)
    if len(wrong):
        i = int(np.searchsorted(starts, wrong[0], side="right")) - 1
        at = step[wrong[0]]
        what = f"step {at} comes twice" if jump[wrong[0]] == 0 else f"step {at + 1} is missing"
        raise DataError(f"{path}, sequence {names[i]}: {what}; steps must be consecutive")


def _labels(table: Any, order: Array, length: NDArray[np.int64], names: tuple[str, ...], path: Path) -> Array:
    column = _column(table, "label", path)
    values: Array = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "O":
        values = values.astype(np.str_)
    values = values[order]
    starts = np.cumsum(length) - length
    changed = np.flatnonzero(values != np.repeat(values[starts], length))
    if len(changed):
        i = int(np.searchsorted(starts, changed[0], side="right")) - 1
        raise DataError(
            f"{path}, sequence {names[i]}: the label changes from {values[starts[i]]} to {values[changed[0]]}; "
            "one per sequence is needed"
        )
    first: Array = values[starts]
    return first
