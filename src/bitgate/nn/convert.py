"""The border to torch.nn: modules with plain weights to ours and back."""

from typing import Any

import torch
from torch import Tensor, nn

from bitgate.errors import UnsupportedError
from bitgate.nn.gru import GRU
from bitgate.nn.linear import Linear
from bitgate.nn.lstm import LSTM
from bitgate.nn.posterior import fix_weights
from bitgate.nn.recurrent import RecurrentModule
from bitgate.weights import WeightDistribution


def from_torch(module: nn.LSTM | nn.GRU | nn.Linear) -> LSTM | GRU | Linear:
    """Our module with continuous weights, equal to a torch.nn.LSTM, GRU or Linear (a copy of its parameters).

    Raises:
        UnsupportedError: a module of another kind.
    """
    if isinstance(module, nn.Linear):
        weight = module.weight
        ours: Any = Linear(module.in_features, module.out_features, module.bias is not None)
    elif isinstance(module, nn.LSTM | nn.GRU):
        weight = module.all_weights[0][0]
        make: Any = LSTM if isinstance(module, nn.LSTM) else GRU
        ours = make(**_arguments(module))
    else:
        raise UnsupportedError(f"from_torch: {type(module).__name__}, expected torch.nn.LSTM, GRU or Linear")
    ours.to(device=weight.device, dtype=weight.dtype).load_state_dict(module.state_dict())
    ours.train(module.training)
    return ours


def to_torch(module: LSTM | GRU | Linear, mode: str = "map") -> nn.LSTM | nn.GRU | nn.Linear:
    """The torch.nn module that computes the same, discrete weights times their scales included.

    A coupled LSTM becomes a torch.nn.LSTM with negated forget rows (``1 - sigmoid(a) = sigmoid(-a)``).

    Args:
        module: ours.
        mode: which network of random weights: "map" or "sample".

    Raises:
        UnsupportedError: staircase gates, which torch.nn cannot express, or another module.
    """
    fixed = fix_weights(module, mode)  # type: ignore[arg-type]
    if isinstance(fixed, Linear):
        theirs: Any = nn.Linear(fixed.in_features, fixed.out_features, fixed.bias is not None)
        state = {"weight": _scaled(fixed.weight, fixed.scale())}
        state |= {} if fixed.bias is None else {"bias": fixed.bias}
    elif isinstance(fixed, LSTM | GRU):
        if fixed.recurrence.sharing is not None:
            raise UnsupportedError("to_torch: torch.nn has no shared gates, but this GRU has sharing")
        if not fixed.recurrence.is_smooth:
            raise UnsupportedError(f"to_torch: torch.nn has no staircase gates, but this module has {fixed.gates}")
        theirs = (nn.LSTM if isinstance(fixed, LSTM) else nn.GRU)(**_arguments(fixed))
        state = {}
        for layer in range(fixed.num_layers):
            for suffix in fixed._suffixes(layer):
                state |= _layer_state(fixed, suffix)
    else:
        raise UnsupportedError(f"to_torch: {type(module).__name__}, expected bitgate's LSTM, GRU or Linear")
    first = next(iter(state.values()))
    theirs.to(device=first.device, dtype=first.dtype).load_state_dict(state)
    return theirs.train(module.training)


def _arguments(module: Any) -> dict[str, Any]:
    names = ["input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional"]
    names += ["proj_size"] if isinstance(module, LSTM | nn.LSTM) else []
    return {name: getattr(module, name) for name in names}


def _scaled(matrix: Any, scale: Tensor | None) -> Tensor:
    value: Tensor = matrix.mode() if isinstance(matrix, WeightDistribution) else matrix
    return value if scale is None else value * scale


def _layer_state(module: RecurrentModule, suffix: str) -> dict[str, Tensor]:
    scale = module.scale(suffix)
    rows = None if scale is None else scale.repeat_interleave(module.hidden_size).unsqueeze(1)
    state = {
        "weight_ih" + suffix: _scaled(getattr(module, "weight_ih" + suffix), rows),
        "weight_hh" + suffix: _scaled(getattr(module, "weight_hh" + suffix), rows),
    }
    if module.coupled:
        if module.bias:
            state["bias_ih" + suffix] = getattr(module, "bias" + suffix)
        state = {key: _negate_into_forget(value) for key, value in state.items()}
        if module.bias:
            state["bias_hh" + suffix] = torch.zeros_like(state["bias_ih" + suffix])
    elif module.bias:
        state |= {name + suffix: getattr(module, name + suffix) for name in ("bias_ih", "bias_hh")}
    if module.proj_size:
        log_scale = getattr(module, "log_scale_hr" + suffix, None)
        projection = getattr(module, "weight_hr" + suffix)
        state["weight_hr" + suffix] = _scaled(projection, None if log_scale is None else log_scale.exp())
    return state


def _negate_into_forget(rows: Tensor) -> Tensor:
    i, g, o = rows.chunk(3)
    return torch.cat([i, -i, g, o])
