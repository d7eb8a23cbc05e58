"""Means and ranges against values worked out by hand."""

from __future__ import annotations

import math

import pytest

from harness.statistics.estimate import mean_or_none, range_of_ratios


def test_ratios_average_geometrically_with_their_range() -> None:
    result = range_of_ratios([(10.0, 20.0), (10.0, 5.0)])
    assert result.estimate == pytest.approx(1.0)
    assert (result.low, result.high, result.kind) == (0.5, 2.0, "range")


def test_one_ratio_has_no_range() -> None:
    result = range_of_ratios([(10.0, 5.0)])
    assert (result.estimate, result.low, result.high) == (2.0, None, None)


@pytest.mark.parametrize("bad", [None, 0.0, -1.0, math.nan, math.inf])
def test_times_that_can_not_be_divided_are_left_out(bad: float | None) -> None:
    assert range_of_ratios([(10.0, bad)]) is None
    assert range_of_ratios([(bad, 10.0)]) is None
    assert range_of_ratios([(bad, 10.0), (10.0, 5.0)]).estimate == 2.0


def test_the_mean_is_of_what_was_measured_and_finite() -> None:
    assert mean_or_none([1.0, None, 3.0, math.nan]) == 2.0
    assert mean_or_none([None]) is None
