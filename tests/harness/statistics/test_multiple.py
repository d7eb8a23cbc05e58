"""Several claims at once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.statistics.multiple import alpha_of_look, claim_level, holm, intersection_union


def test_holm_by_hand():
    adjusted = holm({"a": 0.04, "b": 0.01, "c": 0.03})
    assert adjusted == pytest.approx({"a": 0.06, "b": 0.03, "c": 0.06})
    assert list(adjusted) == ["a", "b", "c"]


def test_adjusted_values_never_exceed_one_and_never_fall_below_the_raw_ones():
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_any_false_rejection_happens_no_more_often_than_alpha():
    rng = np.random.default_rng(0)
    runs = 2000
    false = sum(
        min(holm({str(i): value for i, value in enumerate(rng.random(6))}).values()) < 0.05 for _ in range(runs)
    )
    assert false / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5


def test_a_claim_of_several_parts_is_as_weak_as_its_weakest():
    assert intersection_union([0.01, 0.2, 0.0]) == 0.2


def test_the_error_rates_of_all_looks_add_up_to_alpha():
    assert alpha_of_look(0.05, 1) == pytest.approx(0.0304, abs=1e-4)
    assert sum(alpha_of_look(0.05, look) for look in range(1, 10_000)) == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize("looks", [1, 5, 20])
def test_a_run_that_is_extended_and_judged_again_claims_no_more_often_than_stated(looks):
    """Each look has 8 blocks more; the same true zero. Without spending, five looks claim in 13 % of all runs."""
    rng, runs, spent, unspent = np.random.default_rng(1), 1500, 0, 0
    for _ in range(runs):
        sums = rng.normal(size=(looks, 8)).sum(axis=1).cumsum()
        counts = 8 * np.arange(1, looks + 1)
        p_values = stats.norm.sf(sums / np.sqrt(counts))
        spent += any(p < alpha_of_look(0.05, look) for look, p in enumerate(p_values, start=1))
        unspent += (p_values < 0.05).any()
    assert spent / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5
    if looks > 1:
        assert unspent / runs > 0.1


def test_a_claim_needs_the_whole_interval_and_among_many_more_than_that():
    assert claim_level(0.05, 1) == pytest.approx(0.025)
    assert claim_level(0.05, 10) == pytest.approx(0.005)
    assert claim_level(0.01, 1) == pytest.approx(0.01)
