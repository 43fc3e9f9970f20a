"""A frozen model step by step, as samples arrive: with a session that keeps the state, or with the state in hand."""

import numpy as np
import torch

from bitgate import freeze, nn
from bitgate.runtime import Session

torch.manual_seed(0)
frozen = freeze(nn.SequenceClassifier(3, 4, (16,), weights="ternary", coupled=True))
stream = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)

session = Session(frozen)  # the compiled kernels where they are built, the interpreter otherwise
for sample in stream:
    logits = session.step(sample)
print(f"{session.backend}: class {logits.argmax()} after {len(stream)} samples")

state = frozen.init_state()  # immutable: keep it, copy it, go back to it
for sample in stream:
    state, output = frozen.step(state, sample[None])

assert (logits == output[0]).all()
assert (logits == frozen.run(stream)).all()
print("session, steps and the whole sequence at once give the same integers")

session.reset()
many = session.step(np.zeros((100, 3), np.float32))
print(f"a session also steps {len(many)} streams side by side")
