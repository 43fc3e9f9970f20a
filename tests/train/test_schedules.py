"""Schedules against their closed forms."""

import math

import pytest

from bitgate.errors import ArgumentError
from bitgate.train import Schedule

EPOCHS = 11


@pytest.mark.parametrize(
    ("kind", "formula"),
    [
        ("constant", lambda p: 4.0),
        ("exponential", lambda p: 4.0 * (0.25 / 4.0) ** p),
        ("cosine", lambda p: 0.25 + (4.0 - 0.25) * (1 + math.cos(math.pi * p)) / 2),
    ],
)
def test_values_follow_the_closed_form(kind, formula):
    schedule = Schedule(kind, 4.0, 0.25)
    values = [schedule.at(epoch, EPOCHS) for epoch in range(EPOCHS)]
    assert values == pytest.approx([formula(epoch / (EPOCHS - 1)) for epoch in range(EPOCHS)], rel=1e-12)


@pytest.mark.parametrize("kind", ["exponential", "cosine"])
def test_moving_schedules_go_from_start_to_end_and_stay_there(kind):
    schedule = Schedule(kind, 2.0, 0.5)
    assert schedule.at(0, EPOCHS) == 2.0
    assert schedule.at(EPOCHS - 1, EPOCHS) == pytest.approx(0.5, rel=1e-12)
    assert schedule.at(EPOCHS + 5, EPOCHS) == pytest.approx(0.5, rel=1e-12)
    values = [schedule.at(epoch, EPOCHS) for epoch in range(EPOCHS)]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == EPOCHS


def test_one_epoch_has_the_start_value():
    assert Schedule("cosine", 2.0, 0.5).at(0, 1) == 2.0


def test_cosine_may_end_at_zero():
    assert Schedule("cosine", 1.0, 0.0).at(9, 10) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("linear", 1.0, 1.0), "'linear', expected one of constant, exponential, cosine"),
        (("constant", 0.0, 1.0), r"from 0\.0 to 1\.0, expected positive"),
        (("cosine", 1.0, -1.0), r"from 1\.0 to -1\.0, expected positive"),
        (("exponential", 1.0, 0.0), r"from 1\.0 to 0\.0, expected positive"),
        (("constant", math.nan, 1.0), "from nan to"),
    ],
)
def test_impossible_schedules_are_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        Schedule(*arguments)
