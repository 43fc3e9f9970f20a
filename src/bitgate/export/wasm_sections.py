"""Sections of WebAssembly modules: sizes, and what a module tells of itself."""

from pathlib import Path

from bitgate.errors import ToolError

_CODE, _DATA = 10, 11


def section_bytes(path: Path) -> dict[str, int]:
    """Bytes by the same kinds as ``elf.section_bytes``: code is text, initialized memory is rodata.

    Raises:
        ToolError: ``path`` is no readable module.
    """
    raw = path.read_bytes()
    if raw[:8] != b"\0asm\x01\0\0\0":
        raise ToolError(f"{path}: not a WebAssembly module of version 1")
    sizes = {"text": 0, "rodata": 0, "data": 0, "bss": 0}
    at = 8
    try:
        while at < len(raw):
            kind = raw[at]
            size, at = _unsigned(raw, at + 1)
            if kind in (_CODE, _DATA):
                sizes["text" if kind == _CODE else "rodata"] += size
            at += size
    except IndexError as error:
        raise ToolError(f"{path}: truncated WebAssembly module") from error
    if at != len(raw):
        raise ToolError(f"{path}: truncated WebAssembly module")
    return sizes


def _unsigned(raw: bytes, at: int) -> tuple[int, int]:
    """LEB128 number at ``at``, and where it ends."""
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def custom_section(name: str, content: bytes) -> bytes:
    """A section for the end of a module, which engines ignore and programs may read by its name."""
    body = _encode(len(name.encode())) + name.encode() + content
    return b"\0" + _encode(len(body)) + body


def _encode(value: int) -> bytes:
    """``value`` in LEB128."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])
