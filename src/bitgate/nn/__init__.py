"""Torch modules: drop-ins for torch.nn.LSTM, GRU and Linear, and a sequence classifier made of them."""

from bitgate.nn.classifier import ClassifierCell, SequenceClassifier, Standardize
from bitgate.nn.convert import from_torch, to_torch
from bitgate.nn.count import BitCount, count_bits
from bitgate.nn.gated_rnn import GatedRNN
from bitgate.nn.gru import GRU
from bitgate.nn.language import LanguageModel, detach
from bitgate.nn.linear import Linear
from bitgate.nn.lstm import LSTM
from bitgate.nn.posterior import (
    clip_latents,
    distributions,
    fix_weights,
    kl_divergence,
    mean_entropy_bits,
    set_temperature,
    set_trick,
)
from bitgate.nn.ql_lstm import QLLSTM
from bitgate.nn.recurrent import RecurrentModule
from bitgate.nn.skip import QLState
from bitgate.nn.text import Classifier, TextClassifier

__all__ = [
    "GRU",
    "LSTM",
    "QLLSTM",
    "BitCount",
    "Classifier",
    "ClassifierCell",
    "GatedRNN",
    "LanguageModel",
    "Linear",
    "QLState",
    "RecurrentModule",
    "SequenceClassifier",
    "Standardize",
    "TextClassifier",
    "clip_latents",
    "count_bits",
    "detach",
    "distributions",
    "fix_weights",
    "from_torch",
    "kl_divergence",
    "mean_entropy_bits",
    "set_temperature",
    "set_trick",
    "to_torch",
]
