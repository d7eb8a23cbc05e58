"""Non-inferiority of EM and F1: intervals cover, acceptance errs no more often than stated. Simulated, fixed seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.statistics.noninferiority import assess

RUNS = 400
THREE_ERRORS = 3 * math.sqrt(0.05 * 0.95 / RUNS)


def simulate(rng, *, seeds, examples, discordance, seed_deviation=0.0, shift=0.0):
    """EM differences in points: each answer lost or won with equal chance, moved by `shift` and by each seed."""
    by_seed = shift + rng.normal(0.0, seed_deviation, size=seeds)[:, None]
    lost = np.clip(discordance / 2 - by_seed / 200, 0.0, 1.0)
    won = np.clip(discordance / 2 + by_seed / 200, 0.0, 1.0)
    draws = rng.random((seeds, examples))
    return np.where(draws < lost, -100.0, np.where(draws > 1 - won, 100.0, 0.0))


def shares(seed, margin=1.0, **how):
    rng = np.random.default_rng(seed)
    return [assess(simulate(rng, **how), margin=margin, alpha=0.05) for _ in range(RUNS)]


@pytest.mark.parametrize("examples", [64, 250])
@pytest.mark.parametrize("discordance", [0.05, 0.2])
@pytest.mark.parametrize(("seeds", "seed_deviation"), [(1, 0.0), (3, 0.0), (3, 2.0), (5, 2.0)])
def test_intervals_cover_no_difference(seeds, examples, discordance, seed_deviation):
    results = shares(
        seeds * 1000 + examples, seeds=seeds, examples=examples, discordance=discordance, seed_deviation=seed_deviation
    )
    assert np.mean([r.low <= 0.0 <= r.high for r in results]) >= 0.95 - THREE_ERRORS


@pytest.mark.parametrize(("seeds", "seed_deviation"), [(1, 0.0), (3, 0.0), (3, 2.0), (5, 2.0)])
def test_a_loss_of_the_whole_margin_is_accepted_no_more_often_than_alpha(seeds, seed_deviation):
    results = shares(
        11, seeds=seeds, examples=250, discordance=0.15, seed_deviation=seed_deviation, shift=-4.0, margin=4.0
    )
    assert np.mean([r.p_value < 0.05 for r in results]) <= 0.05 + THREE_ERRORS
    assert np.mean([r.p_inferior < 0.05 for r in results]) <= 0.05 + THREE_ERRORS


def test_bound_and_p_value_say_the_same():
    for result in shares(12, seeds=3, examples=100, discordance=0.1, margin=4.0):
        assert (result.bound > -4.0) == (result.p_value < 0.05)


def test_no_differing_answer_is_not_certainty():
    result = assess(np.zeros((1, 250)), margin=1.0, alpha=0.05)
    assert -1.6 < result.bound < -0.5
    assert result.low < 0.0 < result.high


def test_power_rises_with_questions_and_reaches_what_was_promised():
    few, many = (
        np.mean([r.p_value < 0.05 for r in shares(13, seeds=1, examples=n, discordance=0.15, margin=4.0)])
        for n in (100, 800)
    )
    assert few < 0.6 < many
    needed = assess(
        simulate(np.random.default_rng(14), seeds=1, examples=2000, discordance=0.15), margin=4.0, alpha=0.05
    ).examples_needed
    reached = np.mean([r.p_value < 0.05 for r in shares(15, seeds=1, examples=needed, discordance=0.15, margin=4.0)])
    assert 0.7 < reached < 0.9


def test_smallest_certifiable_loss_is_that_of_the_textbook():
    """250 pairs, 15 % discordant: about 6 points at one-sided 5 % and 80 % power."""
    result = assess(
        simulate(np.random.default_rng(16), seeds=1, examples=250, discordance=0.15), margin=1.0, alpha=0.05
    )
    assert 5.0 < result.detectable_loss < 7.5
    factor = stats.t.ppf(0.95, result.degrees_of_freedom) + stats.t.ppf(0.8, result.degrees_of_freedom)
    assert result.detectable_loss == pytest.approx(factor * result.standard_error)
    assert 6_000 < result.examples_needed < 13_000


def test_seeds_that_disagree_widen_the_interval():
    rng = np.random.default_rng(17)
    calm = assess(simulate(rng, seeds=5, examples=250, discordance=0.1), margin=1.0, alpha=0.05)
    torn = assess(simulate(rng, seeds=5, examples=250, discordance=0.1, seed_deviation=4.0), margin=1.0, alpha=0.05)
    assert torn.standard_error > 1.3 * calm.standard_error
    assert torn.examples_needed is None


def test_a_gain_is_the_mean_difference_with_its_lower_bound():
    gain = assess(np.full((2, 300), 40.0), margin=1.0, alpha=0.05)
    assert gain.difference == pytest.approx(40.0)
    assert 35.0 < gain.bound < 40.0
