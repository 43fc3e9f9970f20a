"""Torch modules: drop-ins for torch.nn.LSTM, GRU and Linear, and a sequence classifier made of them."""

from bitgate.nn.classifier import SequenceClassifier, Standardize
from bitgate.nn.convert import from_torch, to_torch
from bitgate.nn.count import BitCount, count_bits
from bitgate.nn.gru import GRU
from bitgate.nn.linear import Linear
from bitgate.nn.lstm import LSTM
from bitgate.nn.posterior import (
    distributions,
    fix_weights,
    kl_divergence,
    mean_entropy_bits,
    set_temperature,
    set_trick,
)

__all__ = [
    "GRU",
    "LSTM",
    "BitCount",
    "Linear",
    "SequenceClassifier",
    "Standardize",
    "count_bits",
    "distributions",
    "fix_weights",
    "from_torch",
    "kl_divergence",
    "mean_entropy_bits",
    "set_temperature",
    "set_trick",
    "to_torch",
]
