"""Auslan signs (high quality): 22 glove channels, 95 signs, 27 recordings of each.

Original: tctodd.tar.gz with tctodd1..9/SIGN-REP.tsd, 22 tab- or space-separated numbers a line, the
same eleven channels for the left and the right hand. No checksum of the archive is published, so the
content is verified instead: 95 signs of 27 recordings, 285 per session, 146,949 steps in all, lengths
45 to 136, and the first values of "God".
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from bitgate.data.arrays import Arrays, require_array, require_lengths, require_range
from bitgate.data.sequences import Dataset, Sequences
from bitgate.data.sources.source import Card, Source, permutation, split_by_counts
from bitgate.data.sources.text import parse_rows, tar_texts
from bitgate.errors import DataError

_CHANNELS = ("x", "y", "z", "roll", "pitch", "yaw", "thumb", "fore", "index", "ring", "little")
_FEATURES = tuple(f"{hand}_{channel}" for hand in ("left", "right") for channel in _CHANNELS)
_CARD = Card(
    "auslan",
    2565,
    _FEATURES,
    95,
    "45-136",
    "M. W. Kadous, Australian Sign Language Signs (High Quality), UCI (2002)",
)
_MEMBER = re.compile(r"(?:^|/)tctodd(\d)/([^/]+)-(\d+)\.tsd$")
_LONGEST, _N_TRAIN, _N_VAL = 70, 1900, 251


def parse(path: Path) -> Arrays:
    """The packed arrays of tctodd.tar.gz: sorted by sign, session and repetition.

    Session 1 calls one sign "hers" that the others call "his_hers"; it is the same.

    Raises:
        DataError: a damaged archive, no .tsd file, or a malformed line (named).
    """
    recordings = []
    for name, text in tar_texts(path, (".tsd",)):
        match = _MEMBER.search(name)
        if match is None:
            raise DataError(f"{path}, member {name}: the name must be like tctodd1/alive-1.tsd")
        session, sign, rep = match.groups()
        sign = "his_hers" if sign == "hers" else sign
        recordings.append((sign, int(session), int(rep), parse_rows(text, f"{path}, {name}", len(_FEATURES))))
    if not recordings:
        raise DataError(f"{path}: no .tsd file; tctodd.tar.gz has tctodd1/alive-1.tsd and others")
    recordings.sort(key=lambda r: r[:3])
    names = sorted({r[0] for r in recordings})
    return {
        "x": np.concatenate([r[3] for r in recordings]).astype(np.float32),
        "length": np.array([len(r[3]) for r in recordings], np.int16),
        "y": np.array([names.index(r[0]) for r in recordings], np.int16),
        "session": np.array([r[1] for r in recordings], np.int8),
        "rep": np.array([r[2] for r in recordings], np.int8),
        "class_names": np.array(names),
    }


def verify(arrays: Arrays, path: Path) -> None:
    """Refuse arrays that are not the published recordings.

    Raises:
        DataError: another number of signs, recordings, sessions or steps, or other first values.
    """
    length = arrays["length"]
    facts = {
        "recordings": (len(length), 2565),
        "steps": (int(length.sum(dtype=np.int64)), 146_949),
        "shortest": (int(length.min()), 45),
        "longest": (int(length.max()), 136),
        "recordings of each sign": (sorted(set(np.bincount(arrays["y"]).tolist())), [27]),
        "recordings of each session": (np.bincount(arrays["session"])[1:].tolist(), [285] * 9),
        "first values": (arrays["x"][0, :3].astype(np.float64).round(6).tolist(), [-0.064909, 0.034318, -0.043964]),
    }
    for what, (found, right) in facts.items():
        if found != right:
            raise DataError(f"{path}: {what}: {found}, but the published data has {right}")


def build(arrays: Arrays, path: Path, split: str) -> Dataset:
    """The data set of the paper: sequences of at most 70 steps, 1900 / 251 / 252 of them."""
    n = _CARD.sequences
    x = require_array(arrays, "x", "f", (None, len(_FEATURES)), path)
    y = require_array(arrays, "y", "iu", (n,), path).astype(np.int64)
    names = require_array(arrays, "class_names", "U", (_CARD.n_classes,), path)
    require_range(y, 0, _CARD.n_classes - 1, "y", path)
    length = require_lengths(arrays, "length", n, len(x), path)
    short = np.flatnonzero(length <= _LONGEST)
    if len(short) <= _N_TRAIN + _N_VAL:
        raise DataError(f"{path}, key 'length': only {len(short)} sequences of {_LONGEST} steps or fewer, 2403 needed")
    sequences = Sequences(x.astype(np.float32), length, y).subset(short)
    parts = split_by_counts(sequences, permutation(len(sequences)), _N_TRAIN, _N_VAL)
    return _CARD.dataset(parts, tuple(names.tolist()), split)


AUSLAN = Source(
    card=_CARD,
    urls=("https://archive.ics.uci.edu/ml/machine-learning-databases/auslan2-mld/tctodd.tar.gz",),
    sha256=None,
    parse=parse,
    verify=verify,
    build=build,
)
