"""Time of one step of inference, for the rows of a grid."""

import time

import torch

from bitgate.nn import Classifier, TextClassifier, fix_weights

_STEPS = 512
_REPETITIONS = 5


@torch.no_grad()
def step_microseconds(model: Classifier) -> float:
    """Microseconds that the recurrent layers take for a step of one sequence: the best of a few runs of 512 steps.

    One thread, batch 1, float32, most probable weights. Embedding and readout are not part of it.
    """
    inner = fix_weights(model.classifier if isinstance(model, TextClassifier) else model)
    times = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(_REPETITIONS):
            data = torch.zeros(1, _STEPS, len(inner.standardize.mean))
            begin = time.perf_counter()
            for layer in inner.layers:
                data = layer(data)[0]
            times.append(time.perf_counter() - begin)
    finally:
        torch.set_num_threads(threads)
    return 1e6 * min(times) / _STEPS
