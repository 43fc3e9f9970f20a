"""The frozen model: NumPy only, no torch. Its interpreter is the oracle for every exported program."""

from bitgate.frozen.model import FrozenModel, Trace, load
from bitgate.frozen.record import BlockSkip, FrozenLayer, InputMap, PackedMatrix, Readout

__all__ = ["BlockSkip", "FrozenLayer", "FrozenModel", "InputMap", "PackedMatrix", "Readout", "Trace", "load"]
