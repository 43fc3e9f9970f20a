"""What a gate computes: a smooth activation or a staircase of L levels, with a straight-through gradient."""

from bitgate.gates.activation import activate, level_thresholds, sigmoid_levels, tanh_levels
from bitgate.gates.spec import GateLevels, resolve_gates

__all__ = ["GateLevels", "activate", "level_thresholds", "resolve_gates", "sigmoid_levels", "tanh_levels"]
