"""A ternary classifier in a plain PyTorch loop, without Lightning; then frozen to integers."""

import torch
import torch.nn.functional as F

from bitgate import freeze, nn
from bitgate.data import load_dataset

torch.manual_seed(0)
data = load_dataset("digits")
model = nn.SequenceClassifier(data.input_size, data.n_classes, (32,), weights="ternary", coupled=True)
model.standardize.set(*data.train.mean_std())

scales = [p for name, p in model.named_parameters() if "log_scale" in name]
others = [p for name, p in model.named_parameters() if "log_scale" not in name]
optimizer = torch.optim.Adam([{"params": others, "lr": 0.05}, {"params": scales, "lr": 0.002}])

x, lengths = map(torch.from_numpy, data.train.padded())
labels = torch.from_numpy(data.train.labels)
for epoch in range(15):
    for batch in torch.randperm(len(labels)).split(64):
        loss = F.cross_entropy(model(x[batch], lengths[batch]), labels[batch])  # draws the weights anew
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    print(f"epoch {epoch + 1:2}: loss {loss.item():.3f}")

frozen = freeze(model, data.val)
accuracy = (frozen.predict(*data.test.padded()) == data.test.labels).mean()
print(f"integers: {accuracy:.1%} of the test set, {frozen.cost().paper_bits} bits")
assert accuracy > 0.5
