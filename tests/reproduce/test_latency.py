"""The measured time of a step."""

import pytest
import torch

from bitgate.nn import LSTM, SequenceClassifier, TextClassifier
from bitgate.reproduce import latency


@pytest.mark.parametrize("model", [SequenceClassifier(3, 2, (4, 5)), TextClassifier(9, 2, (4,), embedding_size=3)])
def test_a_step_takes_some_time_and_runs_every_layer(model, monkeypatch):
    seen = []
    forward = LSTM.forward

    def counted(self, x, *arguments, **options):
        seen.append((self.hidden_size, tuple(x.shape)))
        return forward(self, x, *arguments, **options)

    monkeypatch.setattr(LSTM, "forward", counted)
    threads = torch.get_num_threads()
    assert latency.step_microseconds(model) > 0
    assert torch.get_num_threads() == threads
    sizes = (4, 5) if isinstance(model, SequenceClassifier) else (4,)
    assert {units for units, _ in seen} == set(sizes)
    assert {shape[:2] for _, shape in seen} == {(1, 512)}
