"""libFuzzer (by atheris) over the file loader: a file gives a model or FormatError, and a model that is accepted runs.

python fuzz/fuzz_load.py CORPUS... [libFuzzer options]
"""

import os
import random
import sys
import tempfile
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["bitgate.frozen", "bitgate.runtime"]):
    from bitgate.frozen import FrozenModel, load
    from bitgate.runtime import Session

from bitgate.errors import FormatError
from fuzz.mutate import mutate

LARGEST = 1 << 16
"""Weights of a model that is still run after loading; what larger ones do is the same and takes long."""

_FOLDER = Path(tempfile.mkdtemp(prefix="bitgate-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))


def check(raw: bytes) -> bool:
    """Whether ``raw`` is a model; raises whatever is a finding."""
    path = _FOLDER / "model.bitgate"
    path.write_bytes(raw)
    try:
        model = load(path)
    except FormatError:
        return False
    if sum(m.w_ih.values.size + m.w_hh.values.size for m in model.flat_layers) <= LARGEST and model.input_size < LARGEST:
        _run(model)
    model.save(path)
    again = load(path)
    assert again.metadata == model.metadata or "nan" in repr(model.metadata).lower()
    return True


def _run(model: FrozenModel) -> None:
    """Extreme and ordinary inputs: no overflow, so the interpreter's int64 and the kernels' int32 agree."""
    x = np.zeros((2, 3, model.input_size), dtype=np.float32)
    x[0, 0], x[0, 1], x[1, 0] = 3e38, -3e38, model.input_map.mean
    expected = model.run(x)
    found = Session(model).run(x)
    assert np.array_equal(expected, found), "interpreter and native runtime disagree"


def fuzz_one(raw: bytes) -> None:
    """Entry of libFuzzer."""
    check(raw)


def mutator(raw: bytes, max_size: int, seed: int) -> bytes:
    """One change that knows the format, or now and then one of libFuzzer's own."""
    source = random.Random(seed)
    changed = atheris.Mutate(raw, max_size) if source.random() < 0.05 else mutate(raw, source)
    return changed if len(changed) <= max_size else raw


def main() -> None:
    """Command line."""
    atheris.Setup(sys.argv, fuzz_one, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
