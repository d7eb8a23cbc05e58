"""Speedups from alternated blocks: drift cancels, intervals cover, A/A claims nothing. Simulated with fixed seeds."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from harness.records.checks import BlockRecord
from harness.statistics.paired import (
    combine,
    exactly_one,
    is_tight,
    p_not_beyond,
    ratio_of_logs,
)

RUNS = 1500
"""Simulated measurements: three standard errors of a share of 0.95 are 1.7 points, of 0.05 likewise."""

THREE_ERRORS = 3 * math.sqrt(0.05 * 0.95 / RUNS)


def block(number, baseline_s, contender_s):
    return BlockRecord(kind="training", number=number, attempt=1, first="baseline", windows=8,
                       baseline_s=baseline_s, contender_s=contender_s)  # fmt: skip


def autoregressive(rng, runs, count, correlation, deviation=0.01):
    """AR(1) noise with a stationary start, float (runs, count)."""
    noise = rng.normal(0.0, deviation, size=(runs, count))
    for i in range(1, count):
        noise[:, i] = correlation * noise[:, i - 1] + math.sqrt(1 - correlation**2) * noise[:, i]
    return noise


def covered(noise, truth=0.0):
    ratios = [ratio_of_logs(row + truth) for row in noise]
    return np.mean([math.log(r.low) <= truth <= math.log(r.high) for r in ratios])


def test_a_linear_drift_cancels_within_a_block():
    drift = [1.0 * math.exp(0.05 * i) for i in range(4)]
    abba = block(1, (drift[0], drift[3]), (drift[1] / 2, drift[2] / 2))
    assert math.exp(abba.log_ratio) == pytest.approx(2.0)


def test_the_estimate_is_the_geometric_mean():
    blocks = [block(1, (2.0, 2.0), (1.0, 1.0)), block(2, (1.0, 1.0), (2.0, 2.0)), block(3, (1.0, 1.0), (1.0, 1.0))]
    assert ratio_of_logs([block.log_ratio for block in blocks]).estimate == pytest.approx(1.0)
    assert ratio_of_logs([0.0, 0.0]) is None


def test_blocks_without_any_spread_give_an_interval_of_no_width():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ratio = ratio_of_logs(np.full(6, 0.1))
    assert (ratio.low, ratio.high) == pytest.approx((ratio.estimate, ratio.estimate))
    assert (p_not_beyond(ratio, 1.0, "above"), p_not_beyond(ratio, 1.0, "below")) == pytest.approx((0.0, 1.0), abs=1e-9)


@pytest.mark.parametrize("count", [5, 10, 30])
def test_intervals_cover_the_truth_under_independent_noise(count):
    noise = np.random.default_rng(count).normal(0.0, 0.01, size=(RUNS, count))
    assert covered(noise, truth=0.03) >= 0.95 - THREE_ERRORS


@pytest.mark.parametrize(
    ("correlation", "count", "least"), [(0.3, 8, 0.93), (0.3, 20, 0.93), (0.5, 8, 0.89), (0.5, 20, 0.92)]
)
def test_intervals_respect_autocorrelation(correlation, count, least):
    noise = autoregressive(np.random.default_rng(7), RUNS, count, correlation)
    assert covered(noise) >= least
    naive = noise.std(axis=1, ddof=1) / math.sqrt(count)
    corrected = np.array([ratio_of_logs(row).log_standard_error for row in noise])
    assert np.median(corrected / naive) > 1.1


def disturbed(rng, count):
    """One block in ten is off by some 8 %, float (RUNS, count)."""
    return rng.normal(0.0, 0.01, size=(RUNS, count)) + (rng.random((RUNS, count)) < 0.1) * rng.normal(
        0.0, 0.08, size=(RUNS, count)
    )


@pytest.mark.parametrize("count", [20, 40])
def test_a_disturbed_block_in_ten_neither_breaks_the_coverage_nor_hides_what_the_others_agree_on(count):
    noise = disturbed(np.random.default_rng(count), count)
    assert covered(noise, truth=0.03) >= 0.95 - THREE_ERRORS
    plain = 2.0 * noise.std(axis=1, ddof=1) / math.sqrt(count)
    widths = np.array([math.log(ratio.high / ratio.low) / 2 for ratio in map(ratio_of_logs, noise)])
    assert np.median(widths / plain) < 0.9


def test_few_blocks_that_resemble_each_other_by_chance_do_not_make_the_interval_useless():
    noise = np.random.default_rng(12).normal(0.0, 0.01, size=(RUNS, 8))
    widths = [math.log(ratio.high / ratio.low) / 2 for ratio in map(ratio_of_logs, noise)]
    assert np.quantile(widths, 0.9) < 2 * np.median(widths)


def test_claims_at_the_boundary_are_false_no_more_often_than_stated():
    noise = np.random.default_rng(3).normal(math.log(1.01), 0.01, size=(RUNS, 10))
    ratios = [ratio_of_logs(row) for row in noise]
    assert np.mean([p_not_beyond(ratio, 1.01, "above") < 0.05 for ratio in ratios]) <= 0.05 + THREE_ERRORS
    assert np.mean([p_not_beyond(ratio, 1.01, "below") < 0.05 for ratio in ratios]) <= 0.05 + THREE_ERRORS


def test_a_true_difference_is_found_more_often_with_more_blocks():
    rng = np.random.default_rng(4)
    few, many = (
        np.mean(
            [
                p_not_beyond(ratio_of_logs(row), 1.0, "above") < 0.05
                for row in rng.normal(0.005, 0.01, size=(400, count))
            ]
        )
        for count in (5, 30)
    )
    assert few < many
    assert many > 0.7


def measure_until_tight(rng, deviation):
    values = list(rng.normal(0.0, deviation, size=5))
    while not is_tight(ratio_of_logs(np.array(values)), 0.01) and len(values) < 40:
        values.append(rng.normal(0.0, deviation))
    return ratio_of_logs(np.array(values))


@pytest.mark.parametrize("deviation", [0.01, 0.02])
def test_stopping_when_the_interval_is_tight_keeps_the_coverage(deviation):
    rng = np.random.default_rng(5)
    ratios = [measure_until_tight(rng, deviation) for _ in range(600)]
    assert np.mean([ratio.low <= 1.0 <= ratio.high for ratio in ratios]) >= 0.92


COMPOSED = (
    # shares of the variance, degrees of freedom, least coverage
    ((0.3, 0.7), (1.5, 10.0), 0.94),
    ((0.1, 0.9), (1.5, 10.0), 0.94),
    ((0.5, 0.5), (2.0, 30.0), 0.93),
    ((0.5, 0.2, 0.3), (6.0, 1.7, 3.5), 0.94),
    ((0.8, 0.2), (1.5, 10.0), 0.91),
)


@pytest.mark.parametrize(("shares", "degrees", "least"), COMPOSED)
def test_errors_of_few_degrees_of_freedom_together_still_cover(shares, degrees, least):
    rng, found = np.random.default_rng(11), []
    for _ in range(RUNS):
        parts = [(math.sqrt(s * rng.chisquare(d) / d), d) for s, d in zip(shares, degrees, strict=True)]
        ratio = combine(rng.normal(), parts, blocks=8)
        found.append(ratio.low <= 1.0 <= ratio.high)
    assert np.mean(found) >= least - THREE_ERRORS


def test_a_small_part_that_is_known_badly_does_not_rule_the_interval():
    alone = combine(0.0, [(0.01, 10.0)], blocks=8)
    weighed = combine(0.0, [(0.01, 10.0), (0.005, 1.5)], blocks=8)
    assert weighed.log_half_width < 1.15 * alone.log_half_width


def test_what_is_the_same_on_both_sides_is_exactly_one():
    same = exactly_one()
    assert (same.estimate, same.low, same.high) == (1.0, 1.0, 1.0)
    assert p_not_beyond(same, 1.0, "above") == p_not_beyond(same, 1.0, "below") == 1.0
