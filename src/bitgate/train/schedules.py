"""How a quantity such as the temperature moves over the epochs."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from bitgate.errors import ArgumentError

ScheduleKind = Literal["constant", "exponential", "cosine"]


@dataclass(frozen=True)
class Schedule:
    """A value that goes from ``start`` to ``end``.

    constant: ``start``; exponential: ``start (end / start)**p``; cosine: ``end + (start - end)(1 + cos(pi p)) / 2``;
    ``p`` runs from 0 in the first epoch to 1 in the last.
    """

    kind: ScheduleKind = "constant"
    start: float = 1.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(ScheduleKind):
            raise ArgumentError(f"schedule: {self.kind!r}, expected one of {', '.join(get_args(ScheduleKind))}")
        if not self.start > 0 or not self.end >= 0 or (self.kind == "exponential" and not self.end > 0):
            raise ArgumentError(f"schedule: from {self.start} to {self.end}, expected positive values")

    def at(self, epoch: int, epochs: int) -> float:
        """Value in ``epoch`` (0 to ``epochs - 1``)."""
        progress = min(1.0, epoch / max(1, epochs - 1))
        if self.kind == "exponential":
            return float(self.start * (self.end / self.start) ** progress)
        if self.kind == "cosine":
            return self.end + (self.start - self.end) * (1 + math.cos(math.pi * progress)) / 2
        return self.start
