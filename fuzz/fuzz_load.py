#!/usr/bin/env python3
"""libFuzzer (by atheris) over the file loader.

python fuzz/fuzz_load.py CORPUS... [libFuzzer options]
"""

import random
import sys

import atheris

with atheris.instrument_imports(include=["bitgate.frozen", "bitgate.runtime"]):
    from fuzz.loading import check

from fuzz.mutate import mutate


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
