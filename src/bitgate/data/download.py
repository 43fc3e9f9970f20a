"""Where the packed file of a data set lies: a given folder, $BITGATE_DATA, the cache, or the original source."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bitgate.data.arrays import write_npz
from bitgate.data.sources.source import Source
from bitgate.errors import DataError

FOLDER_VARIABLE = "BITGATE_DATA"


def find_packed(name: str, data_dir: str | Path | None = None) -> Path | None:
    """The packed file if it is on this machine, else None.

    Raises:
        DataError: ``data_dir`` or $BITGATE_DATA names a folder that does not exist.
    """
    for folder in folders(data_dir):
        path = folder / name / f"{name}.npz"
        if path.is_file():
            return path
    return None


def obtain_packed(source: Source, data_dir: str | Path | None = None, download: bool = True) -> Path:
    """The packed file, downloaded from its original source into the cache when it is nowhere yet.

    Raises:
        DataError: not on this machine and not to be downloaded, no address answers, or the download is
            not the published data.
    """
    name = source.card.name
    found = find_packed(name, data_dir)
    if found is not None:
        return found
    advice = f"give a folder that holds {name}/{name}.npz as --data-dir or in ${FOLDER_VARIABLE}"
    if not download:
        raise DataError(f"{name}: not on this machine; allow the download from {source.urls[0]}, or {advice}")
    packed = cache_folder() / name / f"{name}.npz"
    packed.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    # In the cache and not in /tmp, which is often too small; gone when the packed file is written.
    with tempfile.TemporaryDirectory(dir=packed.parent) as scratch:
        for url in source.urls:
            try:
                original = _retrieve(url, source.sha256, Path(scratch))
                arrays = source.parse(original)
                source.verify(arrays, original)
            except DataError as error:
                reasons.append(f"{url}: {error}")
                continue
            write_npz(packed, arrays)
            return packed
    raise DataError(f"{name}: no usable download ({'; '.join(reasons)}); {advice}")


def cache_folder() -> Path:
    """The user's cache, where packed files of earlier downloads are kept."""
    import pooch

    return Path(pooch.os_cache("bitgate"))


def folders(data_dir: str | Path | None) -> Iterator[Path]:
    """Where data may lie: the given folder, $BITGATE_DATA, the cache.

    Raises:
        DataError: ``data_dir`` or $BITGATE_DATA names a folder that does not exist.
    """
    given = {"data_dir": data_dir, f"${FOLDER_VARIABLE}": os.environ.get(FOLDER_VARIABLE)}
    for what, folder in given.items():
        if folder:
            path = Path(folder).expanduser()
            if not path.is_dir():
                raise DataError(f"{what}: {path} is no folder; it must hold packed files such as uci-har/uci-har.npz")
            yield path
    yield cache_folder()


def _retrieve(url: str, sha256: str | None, folder: Path) -> Path:
    import pooch
    from requests.exceptions import RequestException

    # With no checksum pooch prints the one found; whether it is the right data, source.verify decides.
    known_hash = None if sha256 is None else f"sha256:{sha256}"
    try:
        return Path(pooch.retrieve(url, known_hash, path=folder))
    except (RequestException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(reason) from error
