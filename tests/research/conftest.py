from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from bitgate.research import Enumeration, TinyProblem, make_problem
from bitgate.weights import BINARY, TERNARY


@dataclass(frozen=True)
class Case:
    """A problem, a posterior, and what enumeration says about it."""

    problem: TinyProblem
    enumeration: Enumeration
    logits: Tensor
    exact: Tensor


def make_case(levels: tuple[float, ...], input_size: int, std: float) -> Case:
    problem = make_problem(levels, input_size=input_size)
    enumeration = Enumeration(problem)
    generator = torch.Generator().manual_seed(5)
    logits = std * torch.randn(len(levels), problem.n_weights, dtype=torch.float64, generator=generator)
    return Case(problem, enumeration, logits, enumeration.gradient(logits))


@pytest.fixture(scope="session")
def binary() -> Case:
    return make_case(BINARY, 2, 1.0)


@pytest.fixture(scope="session")
def ternary() -> Case:
    return make_case(TERNARY, 1, 1.0)
