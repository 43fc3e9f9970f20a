"""ELF files of any processor: sizes of sections, and what an emulator needs to load one."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bitgate.errors import ToolError

KINDS = ("text", "rodata", "data", "bss")

_NOBITS, _WRITE, _ALLOC, _EXEC = 8, 1, 2, 4
_LOAD, _SYMBOL_TABLE = 1, 2
_UNWIND = (".eh_frame", ".note", ".ARM.exidx", ".rel", ".dyn", ".gnu", ".interp", ".hash")


_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Segment:
    """A part of memory that a loader fills: ``content``, then zeros up to ``size`` bytes."""

    address: int
    size: int
    content: bytes


def section_bytes(path: Path) -> dict[str, int]:
    """Bytes by kind of section; unwind tables and what only a host's loader reads are left out.

    Raises:
        ToolError: ``path`` is no readable ELF file.
    """
    return _read(path, _section_bytes)


def segments(path: Path) -> list[Segment]:
    """The memory of a linked 32-bit program, in the order of the file. Errors as in ``section_bytes``."""
    return [segment for segment in _read(path, _segments) if segment.size > 0]


def symbols(path: Path) -> dict[str, int]:
    """Value of every named symbol of a 32-bit file. Errors as in ``section_bytes``."""
    return _read(path, _symbols)


def _read(path: Path, reader: Callable[[bytes], _Found]) -> _Found:
    raw = path.read_bytes()
    if raw[:4] != b"\x7fELF":
        raise ToolError(f"{path}: not an ELF file, so its sections cannot be measured")
    try:
        return reader(raw)
    except (struct.error, IndexError, ValueError) as error:
        raise ToolError(f"{path}: damaged ELF file ({error})") from error


def _section_bytes(raw: bytes) -> dict[str, int]:
    totals = dict.fromkeys(KINDS, 0)
    for section in _sections(raw):
        # Constants that hold addresses are writable until a host's loader has placed them; never on a device.
        flags = section.flags & ~_WRITE if section.name.startswith(".data.rel.ro") else section.flags
        if flags & _ALLOC and not section.name.startswith(_UNWIND):
            totals[_classify(section.kind, flags)] += section.size
    return totals


def _segments(raw: bytes) -> list[Segment]:
    _require_narrow(raw)
    (start,) = struct.unpack_from("<I", raw, 28)
    entry_size, count = struct.unpack_from("<HH", raw, 42)
    found = []
    for k in range(count):
        kind, offset, address, _, stored, size = struct.unpack_from("<IIIIII", raw, start + k * entry_size)
        if kind == _LOAD:
            found.append(Segment(address, size, raw[offset : offset + stored]))
    return found


def _symbols(raw: bytes) -> dict[str, int]:
    _require_narrow(raw)
    sections = _sections(raw)
    found = {}
    for table in sections:
        if table.kind == _SYMBOL_TABLE:
            names = sections[table.link].offset
            for at in range(table.offset, table.offset + table.size, 16):
                name, value = struct.unpack_from("<II", raw, at)
                found[_text(raw, names + name)] = value
    return found


def _require_narrow(raw: bytes) -> None:
    if raw[4:6] != b"\x01\x01":
        raise ValueError("expected 32 bits, little endian")


def _classify(kind: int, flags: int) -> str:
    if kind == _NOBITS:
        return "bss"
    if flags & _EXEC:
        return "text"
    return "data" if flags & _WRITE else "rodata"


@dataclass(frozen=True)
class _Section:
    name: str
    kind: int
    flags: int
    offset: int
    size: int
    link: int


def _text(raw: bytes, at: int) -> str:
    return raw[at : raw.index(b"\0", at)].decode("ascii", "replace")


def _sections(raw: bytes) -> list[_Section]:
    wide, order = raw[4] == 2, "<" if raw[5] == 1 else ">"
    (start,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", raw, 40 if wide else 32)
    entry_size, count, names_index = struct.unpack_from(f"{order}HHH", raw, 58 if wide else 46)
    layout = f"{order}{'IIQQQQI' if wide else 'IIIIIII'}"
    entries = [struct.unpack_from(layout, raw, start + k * entry_size) for k in range(count)]
    names = entries[names_index][4]
    return [
        _Section(_text(raw, names + name), kind, flags, offset, size, link)
        for name, kind, flags, _, offset, size, link in entries
    ]
