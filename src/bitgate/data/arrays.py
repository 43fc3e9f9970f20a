"""Reading and writing .npz archives, with errors that name the file and the key."""

from __future__ import annotations

import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bitgate.errors import DataError

Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = dict[str, Array]

_BROKEN = (OSError, ValueError, EOFError, KeyError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


def read_npz(path: Path) -> Arrays:
    """All arrays of an archive, each decompressed once; pickled objects are refused.

    Raises:
        DataError: the file is missing, no .npz archive, damaged, or holds Python objects.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    key = ""
    try:
        # Opened here, because numpy.load leaves a damaged file open.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{path}: a single .npy array, but an .npz archive is needed")
            arrays = {}
            for key in archive.files:
                arrays[key] = archive[key]
    except _BROKEN as error:
        if isinstance(error, DataError):
            raise
        where = f"{path}, key {key!r}" if key else str(path)
        raise DataError(f"{where}: damaged or no .npz archive ({error})") from error
    return arrays


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write an archive so that nobody ever sees half of it: a temporary name, then a rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".npz.part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, **arrays)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def require_keys(arrays: Mapping[str, Array], keys: Iterable[str], path: Path) -> None:
    """Refuse an archive in which one of the keys is missing.

    Raises:
        DataError: names the first missing key and those found.
    """
    for key in keys:
        if key not in arrays:
            raise DataError(f"{path}: key {key!r} is missing; found {', '.join(sorted(arrays)) or 'none'}")


def require_array(
    arrays: Mapping[str, Array], key: str, kinds: str, shape: tuple[int | None, ...], path: Path
) -> Array:
    """The array under a key, after checking its type and shape.

    Args:
        arrays: what ``read_npz`` gave.
        key: name of the array.
        kinds: NumPy kind letters that are allowed, "iu" for whole numbers, "f" for real ones, "U" text.
        shape: wanted shape, None where any size will do.
        path: file named in errors.

    Raises:
        DataError: the key is missing, or its type or shape is another.
    """
    require_keys(arrays, [key], path)
    array = arrays[key]
    fits = array.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, array.shape, strict=True))
    if not fits or array.dtype.kind not in kinds:
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        names = " or ".join({"i": "int", "u": "unsigned int", "f": "float", "U": "text", "b": "bool"}[k] for k in kinds)
        raise DataError(
            f"{path}, key {key!r}: {array.dtype} of shape {array.shape}, but {names} of shape ({wanted}) is needed"
        )
    return array


def require_range(array: Array, low: int, high: int, key: str, path: Path) -> None:
    """Refuse an array with a value outside low..high.

    Raises:
        DataError: names the first such value and its row.
    """
    outside = (array < low) | (array > high)
    if outside.any():
        row = int(np.argwhere(outside)[0][0])
        raise DataError(f"{path}, key {key!r}, row {row}: value {array[outside][0]} is outside {low}..{high}")


def require_lengths(arrays: Mapping[str, Array], key: str, n: int, rows: int, path: Path) -> NDArray[np.int64]:
    """Lengths of n sequences that fill exactly ``rows`` steps, as int64.

    Raises:
        DataError: wrong shape or type, a length below 1, or a sum other than ``rows``.
    """
    length = require_array(arrays, key, "iu", (n,), path).astype(np.int64)
    require_range(length, 1, rows, key, path)
    if length.sum() != rows:
        raise DataError(f"{path}, key {key!r}: the lengths add up to {length.sum()}, but there are {rows} steps")
    return length
