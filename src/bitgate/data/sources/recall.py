"""Recall: which symbol was shown first, asked after hundreds of steps of noise. Made here, seeded; ours.

At step 0 one of eight inputs is 1; at all later steps the eight inputs are normal noise of deviation 0.3, so that the
answer has to be carried over the whole sequence. A network that forgets answers one of eight by chance.
"""

from __future__ import annotations

import numpy as np

from bitgate.data.sequences import Dataset, Sequences
from bitgate.data.sources.source import Bundled, Card, Parts

SYMBOLS = 8
NOISE = 0.3
COUNTS = (4000, 1000, 1000)


def _sequences(steps: int, count: int, rng: np.random.Generator) -> Sequences:
    labels = rng.integers(SYMBOLS, size=count)
    x = NOISE * rng.standard_normal((count, steps, SYMBOLS), dtype=np.float32)
    x[:, 0] = np.eye(SYMBOLS, dtype=np.float32)[labels]
    return Sequences(x.reshape(-1, SYMBOLS), np.full(count, steps, np.int64), labels)


def _bundled(steps: int) -> Bundled:
    names = tuple(f"x{k}" for k in range(SYMBOLS))
    card = Card(f"recall-{steps}", sum(COUNTS), names, SYMBOLS, str(steps), "made by bitgate")

    def load() -> Dataset:
        rng = np.random.default_rng(steps)
        parts = Parts(*(_sequences(steps, count, rng) for count in COUNTS))
        return card.dataset(parts, tuple(map(str, range(SYMBOLS))), "paper")

    return Bundled(card, load)


RECALL = {source.card.name: source for source in map(_bundled, (100, 500, 1000))}
"""By name: sequences of 100, 500 and 1000 steps."""
