"""What a posterior is good for: an ensemble of drawn networks, and how sure it is."""

import tempfile
from pathlib import Path

import torch

from bitgate.data import load_dataset
from bitgate.nn import fix_weights
from bitgate.train import FitConfig, Run, build_model, evaluate, fit, load_weights, predict_logits

with tempfile.TemporaryDirectory() as folder:
    config = FitConfig(data="digits", hidden_sizes=(32,), epochs=15, validate_every=5, runs_dir=folder, name="digits")
    fit(config, progress=False)
    data = load_dataset("digits")
    model = build_model(config, data)
    load_weights(model, Run(Path(folder) / "digits"), "sample")

result = evaluate(model, data.test, draws=10)
print(f"most probable weights {result.map_accuracy:.1%}, one draw {result.sample_accuracy:.1%}")
print(f"ensemble of ten {result.ensemble_accuracy:.1%}, calibration error {result.ensemble_calibration_error:.3f}")

generator = torch.Generator().manual_seed(0)
draws = [fix_weights(model, "sample", generator=generator) for _ in range(10)]
probs = torch.stack([predict_logits(network, data.test).softmax(dim=-1) for network in draws]).mean(dim=0)
right = probs.argmax(dim=-1).numpy() == data.test.labels
sure = probs.max(dim=-1).values.numpy() > 0.8
print(f"right where it is sure ({sure.mean():.0%}): {right[sure].mean():.1%}; elsewhere: {right[~sure].mean():.1%}")
assert right[sure].mean() > right[~sure].mean()
