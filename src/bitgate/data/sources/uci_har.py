"""UCI HAR: six activities from nine inertial channels of a waist-worn phone, windows of 128 steps at 50 Hz.

Original: "UCI HAR Dataset.zip" with {train,test}/Inertial Signals/CHANNEL_{train,test}.txt (128 numbers a
line), y_*.txt and subject_*.txt; UCI wraps it in a second zip, whose SHA-256 many projects record. Kept as
int16 multiples of a power of two per channel (error at most 6e-5 g, 1.2e-4 rad/s).
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitgate.data.arrays import Array, Arrays, require_array, require_range
from bitgate.data.sequences import Dataset, Sequences
from bitgate.data.sources.source import Card, Parts, Source, permutation
from bitgate.data.sources.text import damaged_archive, parse_rows, parse_whole
from bitgate.errors import DataError

_CHANNELS = tuple(f"{kind}_{axis}" for kind in ("body_acc", "body_gyro", "total_acc") for axis in "xyz")
_SCALE = np.float32(2.0) ** np.array([-14, -14, -14, -12, -12, -13, -13, -14, -14], np.float32)
_CLASSES = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING")
_STEPS, _N_TRAIN, _N_TEST = 128, 7352, 2947
_CARD = Card(
    "uci-har",
    _N_TRAIN + _N_TEST,
    _CHANNELS,
    len(_CLASSES),
    str(_STEPS),
    "Anguita, Ghio, Oneto, Parra and Reyes-Ortiz, Human Activity Recognition Using Smartphones, ESANN (2013)",
    ("paper", "honest"),
)
_COUNTS = {"train": [1226, 1073, 986, 1286, 1374, 1407], "test": [496, 471, 420, 491, 532, 537]}
_KEPT, _VAL_SUBJECTS = 5881, 4


def parse(path: Path) -> Arrays:
    """The packed arrays of "UCI HAR Dataset.zip", alone or inside UCI's outer zip.

    Raises:
        DataError: a damaged archive, a missing member, or a malformed line; names file and line.
    """
    arrays: Arrays = {"scale": _SCALE, "channels": np.array(_CHANNELS), "activities": np.array(["", *_CLASSES])}
    with damaged_archive(path), zipfile.ZipFile(path) as outer:
        inner = [n for n in outer.namelist() if n.endswith("UCI HAR Dataset.zip")]
        if not inner:
            return arrays | _parse_parts(outer, path)
        with zipfile.ZipFile(io.BytesIO(outer.read(inner[0]))) as archive:
            return arrays | _parse_parts(archive, path)


def _parse_parts(archive: zipfile.ZipFile, path: Path) -> Arrays:
    arrays: Arrays = {}
    for part in ("train", "test"):
        y = _numbers(archive, path, f"{part}/y_{part}.txt")
        subject = _numbers(archive, path, f"{part}/subject_{part}.txt")
        codes = np.empty((len(y), _STEPS, len(_CHANNELS)), np.int16)
        if len(subject) != len(y):
            raise DataError(f"{path}, subject_{part}.txt: {len(subject)} lines, but y_{part}.txt has {len(y)}")
        for j, channel in enumerate(_CHANNELS):
            member = f"{part}/Inertial Signals/{channel}_{part}.txt"
            values = parse_rows(_text(archive, path, member), f"{path}, {member}", _STEPS)
            if len(values) != len(y):
                raise DataError(f"{path}, {member}: {len(values)} lines, but y_{part}.txt has {len(y)}")
            codes[:, :, j] = _codes(values, j, f"{path}, {member}")
        arrays |= {f"x_{part}": codes, f"y_{part}": y.astype(np.int8), f"subject_{part}": subject.astype(np.int8)}
    return arrays


def _codes(values: NDArray[np.float64], channel: int, where: str) -> NDArray[np.int16]:
    codes = np.rint(values / _SCALE[channel])
    if not (np.abs(codes) <= np.iinfo(np.int16).max).all():
        line = int(np.argmax(~(np.abs(codes) <= np.iinfo(np.int16).max).all(axis=1))) + 1
        raise DataError(f"{where}, line {line}: a value beyond +-{32767 * _SCALE[channel]:g} is no phone motion")
    return np.asarray(codes, np.int16)


def _text(archive: zipfile.ZipFile, path: Path, member: str) -> str:
    try:
        return archive.read(f"UCI HAR Dataset/{member}").decode("ascii")
    except KeyError:
        raise DataError(f"{path}: 'UCI HAR Dataset/{member}' is missing from the archive") from None


def _numbers(archive: zipfile.ZipFile, path: Path, member: str) -> NDArray[np.int64]:
    numbers = parse_whole(_text(archive, path, member), f"{path}, {member}", 1)[:, 0]
    require_range(numbers, 1, 30, member, path)
    return numbers


def verify(arrays: Arrays, path: Path) -> None:
    """Refuse arrays that have not the published number of windows per class and of subjects.

    Raises:
        DataError: names what differs.
    """
    for part, counts in _COUNTS.items():
        found = np.bincount(arrays[f"y_{part}"], minlength=7)[1:].tolist()
        if found != counts:
            raise DataError(f"{path}, y_{part}.txt: {found} windows per activity, but the published data has {counts}")
    subjects = len(set(arrays["subject_train"].tolist())), len(set(arrays["subject_test"].tolist()))
    if subjects != (21, 9):
        raise DataError(f"{path}: {subjects} subjects to train and test, but the published data has (21, 9)")


def build(arrays: Arrays, path: Path, split: str) -> Dataset:
    """Official test part; validation by window, 1471 of them ("paper"), or by subject, 4 of 21 ("honest")."""
    scale = require_array(arrays, "scale", "f", (len(_CHANNELS),), path)
    train = _sequences(arrays, "train", _N_TRAIN, scale, path)
    test = _sequences(arrays, "test", _N_TEST, scale, path)
    if split == "paper":
        order = permutation(_N_TRAIN)
        return _CARD.dataset(Parts(train.subset(order[:_KEPT]), train.subset(order[_KEPT:]), test), _CLASSES, split)
    subject = require_array(arrays, "subject_train", "iu", (_N_TRAIN,), path)
    subjects = np.unique(subject)
    if len(subjects) <= _VAL_SUBJECTS:
        raise DataError(f"{path}, key 'subject_train': {len(subjects)} subjects, but 21 are needed to split by subject")
    held_out = np.isin(subject, subjects[permutation(len(subjects))[:_VAL_SUBJECTS]])
    parts = Parts(train.subset(np.flatnonzero(~held_out)), train.subset(np.flatnonzero(held_out)), test)
    return _CARD.dataset(parts, _CLASSES, split)


def _sequences(arrays: Arrays, part: str, n: int, scale: Array, path: Path) -> Sequences:
    x = require_array(arrays, f"x_{part}", "iu", (n, _STEPS, len(_CHANNELS)), path)
    y = require_array(arrays, f"y_{part}", "iu", (n,), path).astype(np.int64)
    require_range(y, 1, len(_CLASSES), f"y_{part}", path)
    features = x.reshape(-1, len(_CHANNELS)) * scale.astype(np.float32)
    return Sequences(features, np.full(n, _STEPS, np.int64), y - 1)


UCI_HAR = Source(
    card=_CARD,
    urls=("https://archive.ics.uci.edu/static/public/240/human+activity+recognition+using+smartphones.zip",),
    sha256="c00b803081a5c797cd5e4b83700a9810b38d53d9d84e01917e090e1fdbc81031",
    parse=parse,
    verify=verify,
    build=build,
)
