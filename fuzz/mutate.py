"""Structure-aware mutations of model files: random bytes alone hardly ever get past the container's header."""

import json
import random
import struct
from collections.abc import Iterator
from typing import Any

INTERESTING: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 4, 7, 8, 13, 16, 17, 32, 63, 64, 127, 128, 255, 256, 257, 65535),
    *(2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**63, 2**64, 10**30, 0.0, -0.0, 0.5, 1e-320, 1e308, 1e999, -1.0),
    *(
        "",
        "lstm",
        "coupled_lstm",
        "gru",
        "gated_rnn",
        "block",
        "bitgate",
        "2",
        "\x00",
        "𝄞",
        [],
        {},
        [[]],
        [0],
        [-1, 0, 1],
        [-127, 127],
        [1.5],
    ),
    *([-1, 0, 1, 0], [0, 0, 1, 0], [0, 1], ["a", "b"], {"class_names": ["a", "b"]}),
)
DTYPES = ("U8", "I8", "I16", "I32", "I64", "F16", "F32", "F64", "BOOL", "BF16", "U32", "X")
EXTREME_WORDS = (b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\x00\x00\xc0\x7f", b"\x00", b"\xff")
Path = tuple[Any, ...]


def split(raw: bytes) -> tuple[dict[str, Any], bytes] | None:
    """Header and arrays of a container, or None where the bytes are none."""
    try:
        (length,) = struct.unpack_from("<Q", raw)
        header = json.loads(raw[8 : 8 + length])
        return (header, raw[8 + length :]) if isinstance(header, dict) else None
    except (struct.error, ValueError, RecursionError):
        return None


def join(header: dict[str, Any], body: bytes) -> bytes:
    """The container of a header and the bytes behind it, consistent or not."""
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def mutate(raw: bytes, random_source: random.Random) -> bytes:
    """A changed file: its description, an array, the header or plain bytes."""
    parts = split(raw)
    if parts is None or random_source.random() < 0.1:
        return _change_bytes(raw, random_source)
    header, body = parts
    change = random_source.choice(
        (_change_description, _change_description, _change_array, _change_body, _change_entry)
    )
    for _ in range(random_source.choice((1, 1, 1, 2, 3))):
        header, body = change(header, body, random_source)
    return join(header, body)


def _change_bytes(raw: bytes, rng: random.Random) -> bytes:
    content = bytearray(raw or b"\x00")
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(content))
        action = rng.randrange(3)
        if action == 0:
            content[at] = rng.randrange(256)
        elif action == 1:
            del content[at : at + rng.randint(1, 16)]
        else:
            content[at:at] = rng.randbytes(rng.randint(1, 16))
        content = content or bytearray(1)
    return bytes(content)


def _change_description(header: dict[str, Any], body: bytes, rng: random.Random) -> tuple[dict[str, Any], bytes]:
    """Changes one node of the JSON text in the metadata."""
    try:
        description = json.loads(header["__metadata__"]["model"])
        text = json.dumps(_change_node(description, rng))
        return {**header, "__metadata__": {**header["__metadata__"], "model": text}}, body
    except (KeyError, TypeError, ValueError, RecursionError):
        return _change_entry(header, body, rng)


def _change_entry(header: dict[str, Any], body: bytes, rng: random.Random) -> tuple[dict[str, Any], bytes]:
    """Changes one node of the container's own header."""
    changed = _change_node(header, rng)
    return (changed if isinstance(changed, dict) else {"a": changed}), body


def _change_node(root: Any, rng: random.Random) -> Any:
    """A copy of a JSON value with one node replaced, removed, doubled or moved."""
    root = json.loads(json.dumps(root))
    paths = list(_paths(root, ()))
    path = rng.choice(paths)
    if not path:
        return rng.choice(INTERESTING) if rng.random() < 0.05 else root
    parent = _at(root, path[:-1])
    key, value = path[-1], _at(root, path)
    action = rng.randrange(5)
    if action == 0:
        del parent[key]
    elif action == 1 and isinstance(parent, list):
        parent.insert(key, value)
    elif action == 2:
        parent[key] = _at(root, rng.choice(paths))
        return json.loads(json.dumps(root)) if not _is_cyclic(parent[key], parent) else value
    elif action == 3 and type(value) in (int, float):
        parent[key] = value + rng.choice((-1, 1, 8, 256)) if abs(value) < 1e300 else 0
    else:
        parent[key] = rng.choice(INTERESTING)
    return root


def _paths(value: Any, path: Path) -> Iterator[Path]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield from _paths(child, (*path, key))


def _at(root: Any, path: Path) -> Any:
    for key in path:
        root = root[key]
    return root


def _is_cyclic(value: Any, parent: Any) -> bool:
    """Whether ``parent`` lies inside ``value``, so that putting it there made a circle."""
    if value is parent:
        return True
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(child is parent or (child is not value and _is_cyclic(child, parent)) for child in children)


def _change_array(header: dict[str, Any], body: bytes, rng: random.Random) -> tuple[dict[str, Any], bytes]:
    """Another type, shape or place of one array, mostly such that its size still fits."""
    names = [name for name, entry in header.items() if name != "__metadata__" and isinstance(entry, dict)]
    if not names:
        return header, body
    name = rng.choice(names)
    entry = dict(header[name])
    action = rng.randrange(4)
    if action == 0:
        entry["dtype"] = rng.choice(DTYPES)
    elif action == 1 and isinstance(entry.get("shape"), list):
        shape = list(entry["shape"])
        rng.shuffle(shape)
        entry["shape"] = rng.choice((shape, [*shape, 1], [1, *shape], shape[:-1], [0, *shape[1:]]))
    elif action == 2:
        entry["data_offsets"] = header[rng.choice(names)].get("data_offsets")
    else:
        return {(rng.choice(names) if key == name else key): value for key, value in header.items()}, body
    return {**header, name: entry}, body


def _change_body(header: dict[str, Any], body: bytes, rng: random.Random) -> tuple[dict[str, Any], bytes]:
    """Extreme or random numbers in the arrays."""
    content = bytearray(body or b"\x00")
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(content))
        word = rng.choice((*EXTREME_WORDS, rng.randbytes(4)))
        content[at : at + len(word)] = word
    return header, bytes(content[: len(body)])
