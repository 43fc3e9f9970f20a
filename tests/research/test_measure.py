import json
from pathlib import Path

import pytest
import torch

from bitgate.research import measure
from bitgate.research.comparison import Row, contestants, markdown, summarize
from bitgate.research.measure import CHUNK, Measurement

ROOT = Path(__file__).resolve().parents[2]


def gaussian(mean, std):
    """An estimator with known moments: the logits of level 1 vary, those of level 0 are their negatives."""

    def draw(problem, logits, n_samples, *, generator):
        one = mean + std * torch.randn(n_samples, logits.shape[1], dtype=torch.float64, generator=generator)
        return torch.stack([-one, one], dim=1)

    return draw


def measured(estimator, case, n_draws=3 * CHUNK + 5):
    return measure(
        estimator, case.problem, case.logits, case.exact, n_draws, generator=torch.Generator().manual_seed(0)
    )


def test_known_moments_are_found(binary):
    found = measured(gaussian(binary.exact[1] + 0.1, 2.0), binary)
    n = found.n_draws
    # 24 components of variance 4. Each bound is four standard errors of what it bounds.
    assert found.variance == pytest.approx(24 * 4, abs=4 * 2 * 4 * (2 * 12 / n) ** 0.5)
    assert found.bias_noise == pytest.approx((24 * 4 / n) ** 0.5, rel=0.02)
    assert found.bias == pytest.approx(0.1 * 24**0.5, abs=4 * 2 * 2**0.5 / n**0.5)
    assert found.p_value < 1e-3


def test_p_value_is_uniform_without_bias(binary):
    found = [
        measure(
            gaussian(binary.exact[1], torch.linspace(1e-6, 2, 12, dtype=torch.float64)),
            binary.problem,
            binary.logits,
            binary.exact,
            500,
            generator=torch.Generator().manual_seed(seed),
        ).p_value
        for seed in range(200)
    ]
    # The mean of 200 uniform numbers has the standard deviation 0.0204.
    assert sum(found) / 200 == pytest.approx(0.5, abs=4 * 0.0204)
    assert min(found) < 0.05 < 0.95 < max(found)


def test_components_that_never_vary(binary):
    std = torch.ones(12, dtype=torch.float64)
    std[3] = 0
    wrong = torch.zeros(12, dtype=torch.float64)
    wrong[3] = 1e-6
    assert measured(gaussian(binary.exact[1], std), binary).p_value > 1e-3
    assert measured(gaussian(binary.exact[1] + wrong, std), binary).p_value == 0


def test_the_page_shows_the_measured_table():
    document = json.loads((ROOT / "benchmarks/results/estimators.json").read_text())
    rows = [Row(**{**row, "measurement": Measurement(**row["measurement"])}) for row in document["rows"]]
    assert len(rows) == 3 * 2 * (len(contestants(2)) + len(contestants(3)))
    assert markdown(summarize(rows)) in (ROOT / "docs/estimators.md").read_text()
