"""What the loader's fuzzer asserts: a file gives a model or FormatError, and a model that is accepted runs."""

import tempfile
from pathlib import Path

import numpy as np

from bitgate.errors import FormatError
from bitgate.frozen import FrozenModel, load
from bitgate.runtime import Session

LARGEST = 1 << 16
"""Weights of a model that is still run after loading; what larger ones do is the same and takes long."""

_MEMORY = Path("/dev/shm")
_FOLDER = Path(tempfile.mkdtemp(prefix="bitgate-fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None))


def check(raw: bytes) -> bool:
    """Whether ``raw`` is a model; whatever it raises is a finding."""
    path = _FOLDER / "model.bitgate"
    path.write_bytes(raw)
    try:
        model = load(path)
    except FormatError:
        return False
    weights = sum(m.values.size for layer in model.flat_layers for m in (layer.w_ih, layer.w_hh))
    if weights + model.input_size <= LARGEST:
        _run(model)
    model.save(path)
    assert load(path).state_bits == model.state_bits
    return True


def _run(model: FrozenModel) -> None:
    """Extreme and ordinary inputs: nothing overflows, so the interpreter's int64 and the kernels' int32 agree."""
    x = np.zeros((2, 3, model.input_size), dtype=np.float32)
    x[0, 0], x[0, 1], x[1, 0] = 3e38, -3e38, model.input_map.mean
    assert np.array_equal(model.run(x), Session(model).run(x)), "interpreter and native runtime disagree"
