"""Every tolerance of the tests, each with its reason: nothing else names a bare number."""

from typing import Any, NamedTuple

import torch


class Tolerance(NamedTuple):
    rtol: float
    atol: float
    reason: str


EXACT = Tolerance(0.0, 0.0, "the same operations in the same order, or a choice among a few values")
FLOAT64_PARITY = Tolerance(
    1e-10,
    1e-10,
    "float64 sums in another order differ by 1e-16 each; layers, steps and gradients amplify a thousandfold",
)
FLOAT32_PARITY = Tolerance(
    1e-4, 2e-5, "float32 sums in another order differ by 1e-7 each; steps and summed gradients amplify a hundredfold"
)
FLOAT32_ROUNDING = Tolerance(1e-5, 1e-6, "one float32 expression against its closed form")
CLOSED_FORM = Tolerance(1e-12, 1e-12, "one float64 expression against its closed form in NumPy")
AUTOCAST = Tolerance(5e-2, 5e-2, "bfloat16 has 8 significant bits (0.4 %); a dozen such roundings follow on each other")

SIGMAS = 5.0
"""Half-width of every statistical bound in standard errors: 1 false alarm in 1.7 million, and seeds are fixed."""

SMALLEST_P_VALUE = 1e-6
"""Of goodness-of-fit tests: as rare a false alarm as ``SIGMAS`` gives."""


def assert_near(actual: Any, expected: Any, tolerance: Tolerance, what: str = "value") -> None:
    """Fails with the name of what differs; dtypes must agree, NaN is never near anything."""
    torch.testing.assert_close(
        actual, expected, rtol=tolerance.rtol, atol=tolerance.atol, msg=lambda text: f"{what} differs: {text}"
    )
