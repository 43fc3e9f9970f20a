"""Gradient estimators measured against an exact gradient; no layer uses this package (docs/estimators.md)."""

from bitgate.research.enumeration import Enumeration, all_codes
from bitgate.research.estimators import Estimator, arm, lr_trick, r_trick, reinforce, reinforce_leave_one_out
from bitgate.research.measure import Measurement, measure
from bitgate.research.problem import TinyProblem, make_problem

__all__ = [
    "Enumeration",
    "Estimator",
    "Measurement",
    "TinyProblem",
    "all_codes",
    "arm",
    "lr_trick",
    "make_problem",
    "measure",
    "r_trick",
    "reinforce",
    "reinforce_leave_one_out",
]
