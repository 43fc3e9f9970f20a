"""Which estimators are compared, and what their measurements on several posteriors amount to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from statistics import fmean, median

from bitgate.research.estimators import Estimator, arm, lr_trick, r_trick, reinforce, reinforce_leave_one_out
from bitgate.research.measure import Measurement

TEMPERATURES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
SIGNIFICANCE = 1e-3
"""An estimator counts as biased on a posterior where ``p_value`` is below this."""


@dataclass(frozen=True)
class Contestant:
    """One estimator with its options."""

    name: str
    family: str
    estimator: Estimator
    n_networks: int = 1
    temperature: float | None = None

    @property
    def label(self) -> str:
        """The name, with the temperature where there is one."""
        return self.name if self.temperature is None else f"{self.name}, τ {self.temperature:g}"


def contestants(n_levels: int) -> list[Contestant]:
    """All estimators that work with ``n_levels``, the r-trick at every temperature."""
    found = []
    for family, name, exact in (("r-ste", "r-trick STE", True), ("r-relaxed", "r-trick relaxed", False)):
        for t in TEMPERATURES:
            estimator = partial(r_trick, temperature=t, straight_through=exact)
            found.append(Contestant(name, family, estimator, temperature=t))
    found.append(Contestant("lr-trick", "lr", lr_trick))
    found.append(Contestant("REINFORCE", "reinforce", reinforce))
    found.append(Contestant("REINFORCE leave-one-out", "reinforce-loo", reinforce_leave_one_out, n_networks=2))
    if n_levels == 2:
        found.append(Contestant("ARM", "arm", arm, n_networks=2))
    return found


@dataclass(frozen=True)
class Row:
    """One estimator on one posterior."""

    weights: str
    posterior: str
    seed: int
    label: str
    family: str
    temperature: float | None
    n_networks: int
    measurement: Measurement


@dataclass(frozen=True)
class Summary:
    """One estimator, averaged over the seeds of a kind of posterior; everything relative to ``|g|``."""

    weights: str
    posterior: str
    label: str
    family: str
    temperature: float | None
    n_networks: int
    n_seeds: int
    n_biased: int
    """Seeds whose measurement shows a bias at ``SIGNIFICANCE``."""
    bias: float
    noise: float
    std: float
    cosine_of_mean: float
    mean_cosine: float
    break_even_draws: int | None
    """Draws to average until leave-one-out REINFORCE has the smaller mean squared error (median of the seeds); None
    unless the bias shows on every seed."""


def summarize(rows: Sequence[Row]) -> list[Summary]:
    """Averages over the seeds, in the order in which the estimators first appear."""
    keys = list(dict.fromkeys((row.weights, row.posterior, row.label) for row in rows))
    groups = {key: [row for row in rows if (row.weights, row.posterior, row.label) == key] for key in keys}
    unbiased = {(r.weights, r.posterior, r.seed): r.measurement for r in rows if r.family == "reinforce-loo"}
    return [_summary(group, unbiased) for group in groups.values()]


def _summary(group: Sequence[Row], unbiased: dict[tuple[str, str, int], Measurement]) -> Summary:
    first = group[0]
    all_m = [row.measurement for row in group]
    n_biased = sum(m.p_value < SIGNIFICANCE for m in all_m)
    draws = [_break_even(row.measurement, unbiased[row.weights, row.posterior, row.seed]) for row in group]
    return Summary(
        weights=first.weights,
        posterior=first.posterior,
        label=first.label,
        family=first.family,
        temperature=first.temperature,
        n_networks=first.n_networks,
        n_seeds=len(group),
        n_biased=n_biased,
        bias=fmean(m.bias / m.exact_norm for m in all_m),
        noise=fmean(m.bias_noise / m.exact_norm for m in all_m),
        std=fmean(m.variance**0.5 / m.exact_norm for m in all_m),
        cosine_of_mean=fmean(m.cosine_of_mean for m in all_m),
        mean_cosine=fmean(m.mean_cosine for m in all_m),
        break_even_draws=ceil(median(draws)) if n_biased == len(group) else None,
    )


def _break_even(biased: Measurement, unbiased: Measurement) -> float:
    """N with ``bias^2 + variance / N = unbiased variance / N``, at least 1; noise is taken off the measured bias."""
    bias_squared = max(biased.bias**2 - biased.bias_noise**2, 1e-300)
    return max(1.0, (unbiased.variance - biased.variance) / bias_squared)


HEADERS = ("estimator", "nets", "bias", "noise", "biased", "std", "cos mean", "cos draw", "break-even")


def cells(summary: Summary) -> tuple[str, ...]:
    """The row of a table under ``HEADERS``."""
    return (
        summary.label,
        str(summary.n_networks),
        f"{summary.bias:.3f}",
        f"{summary.noise:.3f}",
        f"{summary.n_biased} of {summary.n_seeds}",
        f"{summary.std:.2f}",
        f"{summary.cosine_of_mean:.3f}",
        f"{summary.mean_cosine:.3f}",
        "-" if summary.break_even_draws is None else str(summary.break_even_draws),
    )


def markdown(summaries: Iterable[Summary]) -> str:
    """One Markdown table per kind of weights and posterior."""
    lines: list[str] = []
    current = None
    for summary in summaries:
        if (summary.weights, summary.posterior) != current:
            current = (summary.weights, summary.posterior)
            rule = "|---|" + "---:|" * (len(HEADERS) - 1)
            lines += ["", f"**{summary.weights}, {summary.posterior} posterior**", "", _line(HEADERS), rule]
        lines.append(_line(cells(summary)))
    return "\n".join(lines[1:]) + "\n"


def _line(row: tuple[str, ...]) -> str:
    return "| " + " | ".join(row) + " |"
