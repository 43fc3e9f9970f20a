"""Section sizes of ELF files (objects and binaries of any processor), read from the section headers."""

import struct
from pathlib import Path

from bitgate.errors import ToolError

KINDS = ("text", "rodata", "data", "bss")

_NOBITS, _WRITE, _ALLOC, _EXEC = 8, 1, 2, 4
_UNWIND = (".eh_frame", ".note", ".ARM.exidx", ".rel", ".dyn", ".gnu", ".interp", ".hash")


def section_bytes(path: Path) -> dict[str, int]:
    """Bytes by kind of section; unwind tables and what only a host's loader reads are left out.

    Raises:
        ToolError: ``path`` is no readable ELF file.
    """
    raw = path.read_bytes()
    if raw[:4] != b"\x7fELF":
        raise ToolError(f"{path}: not an ELF file, so its sections cannot be measured")
    totals = dict.fromkeys(KINDS, 0)
    try:
        for name, kind, flags, size in _sections(raw):
            # Constants that hold addresses are writable until a host's loader has placed them; never on a device.
            relocated = name.startswith(".data.rel.ro")
            if flags & _ALLOC and not name.startswith(_UNWIND):
                totals[_classify(kind, flags & ~_WRITE if relocated else flags)] += size
    except (struct.error, IndexError, ValueError) as error:
        raise ToolError(f"{path}: damaged ELF file ({error})") from error
    return totals


def _classify(kind: int, flags: int) -> str:
    if kind == _NOBITS:
        return "bss"
    if flags & _EXEC:
        return "text"
    return "data" if flags & _WRITE else "rodata"


def _sections(raw: bytes) -> list[tuple[str, int, int, int]]:
    """Name, type, flags and size of every section."""
    wide, order = raw[4] == 2, "<" if raw[5] == 1 else ">"
    (start,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", raw, 40 if wide else 32)
    entry_size, count, names_index = struct.unpack_from(f"{order}HHH", raw, 58 if wide else 46)
    layout = f"{order}{'IIQQQQ' if wide else 'IIIIII'}"
    entries = [struct.unpack_from(layout, raw, start + k * entry_size) for k in range(count)]
    names = entries[names_index][4]
    found = []
    for name, kind, flags, _, _, size in entries:
        begin = names + name
        found.append((raw[begin : raw.index(b"\0", begin)].decode("ascii", "replace"), kind, flags, size))
    return found
