"""The float form against the torch network that was frozen, and against the integers, both from outside the export."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from bitgate import export, freeze
from bitgate.nn import SequenceClassifier, fix_weights

LENGTHS = [9, 1, 5, 7]

# Freezing rounds multipliers to ten bits or more (0.1 %) and continuous weights to 8 bits (0.4 %).
NEAR = {"ternary": 0.005, "continuous": 0.03}


def network(weights: str, **options: Any) -> SequenceClassifier:
    torch.manual_seed(1)
    model = SequenceClassifier(3, 4, (6, 5), weights=weights, **options).eval()
    model.standardize.set([1.0, -2.0, 0.5], [2.0, 0.5, 1.0])
    return model


@pytest.mark.parametrize("weights", NEAR)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"coupled": True},
        {"cell": "gru"},
        {"bidirectional": True},
        {"coupled": True, "gates": {"o": 2, "g": 3}},
        {"cell": "ql_lstm", "block_size": 4},
        {"cell": "ql_lstm", "skip": None, "sharing": "psug1", "bidirectional": True},
        {"cell": "gated_rnn"},
    ],
    ids=["lstm", "coupled", "gru", "bidirectional", "staircase", "ql_lstm", "psug1", "gated_rnn"],
)
def test_float_logits_are_those_of_the_torch_network(weights: str, options: dict[str, Any], tmp_path: Path) -> None:
    model = network(weights, **options)
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(4, 9, 3)) * [2.0, 0.5, 1.0] + [1.0, -2.0, 0.5]).astype(np.float32)
    frozen = freeze(model, mode="map")
    feed = {"x": x, "lengths": np.array(LENGTHS, np.int64)}
    found = {}
    for form in ("float", "integer"):
        path = export.onnx(frozen, tmp_path / f"{form}.onnx", form=form)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        found[form] = session.run(["logits"], feed)[0]
    with torch.no_grad():
        expected = fix_weights(model)(torch.from_numpy(x), torch.tensor(LENGTHS)).numpy()
    spread = np.abs(expected).max()
    assert np.abs(found["float"] - expected).max() < NEAR[weights] * spread
    assert np.abs(found["integer"] * frozen.output_scale - found["float"]).max() < 0.005 * spread
