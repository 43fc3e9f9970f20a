"""A drop-in for torch.nn.LSTM: the same arguments, outputs and state_dict; then ternary weights by one argument."""

import torch

from bitgate import nn

theirs = torch.nn.LSTM(8, 32, num_layers=2, batch_first=True)
ours = nn.LSTM(8, 32, num_layers=2, batch_first=True)
ours.load_state_dict(theirs.state_dict())

x = torch.randn(4, 10, 8)
difference = (ours(x)[0] - theirs(x)[0]).abs().max()
assert difference < 1e-5
print(f"largest difference to torch.nn.LSTM: {difference:.1e}")

ternary = nn.LSTM(8, 32, num_layers=2, batch_first=True, weights="ternary", gates={"o": 2}, coupled=True)
output, (h, c) = ternary(x)
output.square().mean().backward()
gradient = ternary.weight_ih_l0.logits.grad
assert gradient is not None
print(f"ternary: output {tuple(output.shape)}, probabilities {tuple(ternary.weight_ih_l0.probs().shape)}")
print(f"most probable weights of the first gate: {ternary.weight_ih_l0.mode()[0].int().tolist()}")
