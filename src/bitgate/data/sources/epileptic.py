"""Epileptic seizure recognition: one-second EEG segments of 178 samples in five classes.

Original: UCI's data.csv, a shuffled table with a row name such as X21.V1.791, X1..X178 and y = 1..5. R made
the row names: "X{chunk}.V1.{k}" for recording k of a folder ("V1" for k = 0), then ``rbind`` of the five
folders, which makes repeated names unique by appending a number. Repeating that recovers the recording of
every row (``recording_of_name``), hence an order that does not depend on UCI's shuffle, and an honest split. No
checksum of the several copies of the file is published; the restored samples are verified instead, by the
SHA-256 of the same samples cut from the original Bonn recordings.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitgate.data.arrays import Arrays, require_array, require_range
from bitgate.data.sequences import Dataset, Sequences
from bitgate.data.sources.source import Card, Parts, Source, permutation, split_by_counts
from bitgate.data.sources.text import damaged_archive, parse_whole
from bitgate.errors import DataError

_SAMPLES, _CHUNKS, _RECORDINGS = 178, 23, 500
_CARD = Card(
    "epileptic",
    _RECORDINGS * _CHUNKS,
    ("eeg",),
    5,
    str(_SAMPLES),
    "Andrzejak et al., Phys. Rev. E 64, 061907 (2001); UCI version by Wu and Fokoue (2017)",
    ("paper", "honest"),
)
_CLASSES = ("seizure", "tumour_area", "healthy_area", "eyes_closed", "eyes_open")
_FOLDERS = "SFNOZ"
_ROW_NAME = re.compile(r"X(\d+)\.(V1[.\d]*)$")
_CONTENT = "7be1ac88468841bcf510cbaf19241c3c241d5483e6499d238b76b2dce230bdb8"


@cache
def recording_of_name() -> dict[str, int]:
    """Recording 0..499 (100 per class, classes in order) of the part of a row name behind its chunk.

    R's ``make.unique``: a repeated name gets the first number that makes it new, counting on per name.
    ``rbind`` was given the folders of classes 5, 4, 3, 2, 1 in this order.
    """
    base = [f"V1.{k}" if k else "V1" for k in range(100)]
    recordings = {name: 400 + k for k, name in enumerate(base)}
    count = dict.fromkeys(base, 1)
    for first in (300, 200, 100, 0):
        for k, name in enumerate(base):
            while (unique := f"{name}{count[name]}") in recordings:
                count[name] += 1
            recordings[unique] = first + k
    return recordings


def parse(path: Path) -> Arrays:
    """The packed arrays of data.csv (or of a zip that holds one .csv), in recording order.

    Raises:
        DataError: a damaged file, a malformed line, a row name that R could not have made, a row that
            comes twice, or a class that is not its recording's; names file and line.
    """
    lines = _csv_text(path).replace('"', "").splitlines()
    if not lines or lines[0].split(",")[1:] != [*(f"X{j + 1}" for j in range(_SAMPLES)), "y"]:
        raise DataError(f"{path}, line 1: the columns must be a row name, X1..X{_SAMPLES} and y")
    names, _, values = zip(("", "", ""), *(line.partition(",") for line in lines[1:]), strict=True)
    # The blank first line keeps the line numbers of errors those of the file.
    table = parse_whole("\n".join(values).replace(",", " "), str(path), _SAMPLES + 1)
    place = np.array([_place(name, f"{path}, line {i}") for i, name in enumerate(names[1:], 2)])
    order = np.argsort(place, kind="stable")
    place, table = place[order], table[order]
    twice = np.flatnonzero(np.diff(place) == 0)
    if len(twice):
        raise DataError(f"{path}: row name {names[order[twice[0]] + 1]} comes twice")
    recording = place // _CHUNKS
    wrong = np.flatnonzero(table[:, -1] != recording // 100 + 1)
    if len(wrong):
        i = wrong[0]
        raise DataError(
            f"{path}, line {order[i] + 2}: y is {table[i, -1]}, "
            f"but {names[order[i] + 1]} is of class {recording[i] // 100 + 1}"
        )
    samples = table[:, :-1]
    if np.abs(samples).max() > np.iinfo(np.int16).max:
        raise DataError(f"{path}: a sample of {np.abs(samples).max()}; EEG samples here are below 32768")
    return {
        "x": samples.astype(np.int16),
        "y": table[:, -1].astype(np.int8),
        "recording": recording.astype(np.int16),
        "chunk": (place % _CHUNKS).astype(np.int8),
        "recording_name": np.array([f"{folder}{k + 1:03}" for folder in _FOLDERS for k in range(100)]),
    }


def _csv_text(path: Path) -> str:
    with damaged_archive(path):
        if not zipfile.is_zipfile(path):
            return path.read_text("utf-8-sig")
        with zipfile.ZipFile(path) as archive:
            tables = [n for n in archive.namelist() if n.endswith(".csv") and not n.startswith("__MACOSX")]
            if len(tables) != 1:
                raise DataError(f"{path}: {len(tables)} .csv files, but exactly one is needed")
            return io.TextIOWrapper(archive.open(tables[0]), "utf-8-sig").read()


def _place(name: str, where: str) -> int:
    """Row of a name in recording order: 23 times its recording plus its chunk."""
    match = _ROW_NAME.match(name)
    recording = recording_of_name().get(match[2]) if match else None
    if match is None or recording is None or not 1 <= int(match[1]) <= _CHUNKS:
        raise DataError(f"{where}: row name {name!r}, but it must be like X21.V1.791 with a chunk of 1..{_CHUNKS}")
    return recording * _CHUNKS + int(match[1]) - 1


def verify(arrays: Arrays, path: Path) -> None:
    """Refuse samples that are not those of the Bonn recordings.

    Raises:
        DataError: another number of rows, or other samples.
    """
    if len(arrays["x"]) != _CARD.sequences:
        raise DataError(f"{path}: {len(arrays['x'])} rows, but the published file has {_CARD.sequences}")
    found = hashlib.sha256(arrays["x"].astype("<i2").tobytes()).hexdigest()
    if found != _CONTENT:
        raise DataError(f"{path}: the samples have SHA-256 {found}, but the published ones {_CONTENT}")


def build(arrays: Arrays, path: Path, split: str) -> Dataset:
    """Parts by row, 7360 / 1840 / 2300 ("paper"), or by recording, 320 / 80 / 100 ("honest")."""
    n = _CARD.sequences
    x = require_array(arrays, "x", "iu", (n, _SAMPLES), path)
    y = require_array(arrays, "y", "iu", (n,), path).astype(np.int64)
    recording = require_array(arrays, "recording", "iu", (n,), path)
    require_range(y, 1, len(_CLASSES), "y", path)
    require_range(recording, 0, _RECORDINGS - 1, "recording", path)
    sequences = Sequences(x.astype(np.float32).reshape(-1, 1), np.full(n, _SAMPLES, np.int64), y - 1)
    parts = (
        split_by_counts(sequences, permutation(n), 7360, 1840)
        if split == "paper"
        else _split_by_recording(sequences, recording)
    )
    return _CARD.dataset(parts, _CLASSES, split)


def _split_by_recording(sequences: Sequences, recording: NDArray[np.integer]) -> Parts:
    groups = np.split(permutation(_RECORDINGS), (320, 400))
    return Parts(*(sequences.subset(np.flatnonzero(np.isin(recording, group))) for group in groups))


EPILEPTIC = Source(
    card=_CARD,
    urls=(
        "https://archive.ics.uci.edu/static/public/388/epileptic+seizure+recognition.zip",
        "https://archive.ics.uci.edu/ml/machine-learning-databases/00388/data.csv",
        "https://web.archive.org/web/20200318000445/http://archive.ics.uci.edu/ml/machine-learning-databases/00388/data.csv",
    ),
    sha256=None,
    parse=parse,
    verify=verify,
    build=build,
)
