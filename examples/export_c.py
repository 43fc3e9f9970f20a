"""From a model to a C program, compiled here and compared with the interpreter in every integer."""

import tempfile
from pathlib import Path

import numpy as np
import torch

from bitgate import freeze, load, nn
from bitgate.export import c99, code_bytes, compile_host, compile_objects, run_program

torch.manual_seed(0)
model = nn.SequenceClassifier(4, 6, (32,), weights="ternary", gates={"o": 2, "g": 2}, coupled=True)
frozen = freeze(model).with_metadata(class_names=["left", "right", "up", "down", "tap", "none"])

with tempfile.TemporaryDirectory() as folder:
    frozen.save(Path(folder) / "gesture.bitgate")
    assert load(Path(folder) / "gesture.bitgate").class_names[0] == "left"

    files = c99(frozen, Path(folder) / "c", name="gesture")
    print("written:", ", ".join(path.name for path in files))
    size = code_bytes(compile_objects(Path(folder) / "c", folder))
    print(f"compiled with -Os: {size.text} bytes of code, {size.flash} bytes of flash in all")

    sequences = [np.random.default_rng(k).normal(size=(5 + k, 4)).astype(np.float32) for k in range(20)]
    classes, logits = run_program(compile_host(Path(folder) / "c"), sequences)

expected = np.stack([frozen.run(sequence) for sequence in sequences])
assert (logits == expected).all()
print(
    f"{logits.size} logits of {len(sequences)} sequences are identical; the first is {frozen.class_names[classes[0]]!r}"
)
