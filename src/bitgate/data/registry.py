"""Data sets by name: what there is, where it is, and loading it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from bitgate.data.arrays import read_npz
from bitgate.data.download import cache_folder, find_packed, obtain_packed
from bitgate.data.files import SUFFIXES, load_file_dataset
from bitgate.data.sequences import Dataset
from bitgate.data.sources.auslan import AUSLAN
from bitgate.data.sources.digits import DIGITS, DIGITS_PIXELS
from bitgate.data.sources.epileptic import EPILEPTIC
from bitgate.data.sources.mnist_strokes import MNIST_STROKES
from bitgate.data.sources.recall import RECALL
from bitgate.data.sources.source import Bundled, Card, Source
from bitgate.data.sources.uci_har import UCI_HAR
from bitgate.data.text import IMDB, TextSource
from bitgate.data.text.reviews import HUB_NAME, read_reviews
from bitgate.errors import ArgumentError

Entry = Source | Bundled | TextSource

_SINGLE: tuple[Entry, ...] = (DIGITS, DIGITS_PIXELS, MNIST_STROKES, UCI_HAR, EPILEPTIC, AUSLAN)
_REGISTERED: dict[str, Entry] = {entry.card.name: entry for entry in _SINGLE} | IMDB | RECALL


@dataclass(frozen=True)
class DatasetRow:
    """One line of ``bitgate data list``.

    Attributes:
        name: what ``load_dataset`` takes.
        sequences: how many there are before splitting.
        input_size: features per step.
        n_classes: number of classes.
        length: steps per sequence, such as "128" or "13-113".
        splits: split names it has.
        source: credit line.
        url: address of the original, or "" when an installed library carries the data.
        location: "bundled", the packed file on this machine, or "" when it must be downloaded.
    """

    name: str
    sequences: int
    input_size: int
    n_classes: int
    length: str
    splits: tuple[str, ...]
    source: str
    url: str
    location: str


def dataset_names() -> tuple[str, ...]:
    """Names of the registered data sets; the first is the default and needs no download."""
    return tuple(_REGISTERED)


def describe(data_dir: str | Path | None = None) -> tuple[DatasetRow, ...]:
    """The registered data sets, without loading or downloading anything.

    Raises:
        DataError: ``data_dir`` or $BITGATE_DATA names a folder that does not exist.
    """
    return tuple(_row(entry, data_dir) for entry in _REGISTERED.values())


def fetch(name: str, *, data_dir: str | Path | None = None) -> Path | None:
    """Download a data set unless it is on this machine already; its packed file, None for a bundled set.

    Raises:
        ArgumentError: no such name.
        DataError: it cannot be had.
    """
    entry = _entry(name)
    if isinstance(entry, TextSource):
        read_reviews(data_dir)
        return entry.find(data_dir) or cache_folder()
    return None if isinstance(entry, Bundled) else obtain_packed(entry, data_dir)


def load_dataset(
    name: str | Path, *, data_dir: str | Path | None = None, split: str = "paper", download: bool = True
) -> Dataset:
    """A data set by its registered name, or from a user's .npz, .parquet or .csv file.

    Looked for in ``data_dir``, then in $BITGATE_DATA (folders with NAME/NAME.npz), then in the user's cache;
    then downloaded from its original source, checked, and packed into the cache.

    Args:
        name: a name of ``dataset_names()``, or a path.
        data_dir: folder to look in first.
        split: "paper", the default parts; or "honest", with no subject or recording in two parts.
        download: whether the network may be used.

    Raises:
        ArgumentError: an unknown name, or a split that the data set has not.
        DataError: the data is missing, damaged or not what it claims to be.
    """
    path = Path(name)
    if str(name) not in _REGISTERED and path.suffix.lower() in SUFFIXES:
        if split != "paper":
            raise ArgumentError(f"split={split!r} for {path}: {_which_are_honest()}")
        return load_file_dataset(path)
    entry = _entry(str(name))
    if split not in entry.card.splits:
        raise ArgumentError(f"split={split!r} for {name}: {_which_are_honest()}")
    if isinstance(entry, Bundled):
        return entry.load()
    if isinstance(entry, TextSource):
        return entry.load(data_dir, download)
    packed = obtain_packed(entry, data_dir, download)
    return entry.build(read_npz(packed), packed, split)


def _entry(name: str) -> Entry:
    if name in _REGISTERED:
        return _REGISTERED[name]
    close = difflib.get_close_matches(name, _REGISTERED, n=3)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise ArgumentError(
        f"no data set is called {name!r}: {hint}There are {', '.join(_REGISTERED)}, "
        f"or give the path of a file that ends in {', '.join(SUFFIXES)}"
    )


def _which_are_honest() -> str:
    honest = [name for name, entry in _REGISTERED.items() if "honest" in entry.card.splits]
    return f"it must be 'paper', or 'honest' with one of {', '.join(honest)}"


def _row(entry: Entry, data_dir: str | Path | None) -> DatasetRow:
    card: Card = entry.card
    if isinstance(entry, Bundled):
        url, location = "", "bundled"
    elif isinstance(entry, TextSource):
        found = entry.find(data_dir)
        url, location = f"hub: {HUB_NAME}", str(found) if found else ""
    else:
        found = find_packed(card.name, data_dir)
        url, location = entry.urls[0], str(found) if found else ""
    return DatasetRow(
        name=card.name,
        sequences=card.sequences,
        input_size=len(card.feature_names),
        n_classes=card.n_classes,
        length=card.length,
        splits=card.splits,
        source=card.credit,
        url=url,
        location=location,
    )
