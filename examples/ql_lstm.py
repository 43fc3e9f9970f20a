"""A ternary QL-LSTM: gates share projections, hidden states skip over blocks; trained, frozen, and verified in C."""

import torch
import torch.nn.functional as F

from bitgate import freeze, nn
from bitgate.data import load_dataset
from bitgate.export.verify import verify

torch.manual_seed(0)
data = load_dataset("digits")  # 8 steps: a block of 3 ends twice
shape = (data.input_size, data.n_classes, (32,))
model = nn.SequenceClassifier(*shape, cell="ql_lstm", sharing="psug2", block_size=3, weights="ternary")
model.standardize.set(*data.train.mean_std())

slow = [p for name, p in model.named_parameters() if "scale" in name or "skip" in name]
fast = [p for name, p in model.named_parameters() if "scale" not in name and "skip" not in name]
optimizer = torch.optim.Adam([{"params": fast, "lr": 0.05}, {"params": slow, "lr": 0.01}])
x, lengths = map(torch.from_numpy, data.train.padded())
labels = torch.from_numpy(data.train.labels)
for _ in range(15):
    for batch in torch.randperm(len(labels)).split(64):
        optimizer.zero_grad()
        F.cross_entropy(model(x[batch], lengths[batch]), labels[batch]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

frozen = freeze(model.eval(), data.val)
accuracy = (frozen.predict(*data.test.padded()) == data.test.labels).mean()
own = freeze(nn.SequenceClassifier(*shape, weights="ternary")).cost()  # an LSTM: each gate its own projection
layer = frozen.flat_layers[0]
print(f"integers: {accuracy:.1%} of the test set; hidden states reach {2**layer.range_bits}")
print(f"{frozen.cost().n_weights} weights, an LSTM of the size has {own.n_weights}")

sequences = [sequence[:n] for sequence, n in zip(*data.test.padded(), strict=True)][:50]
result = verify(frozen, sequences, "host")
print(f"the C program: {result.n_values} integers compared, all identical: {result.is_equal}")
assert result.is_equal
assert accuracy > 0.5
