"""Several claims at once."""

from __future__ import annotations

import numpy as np
import pytest

from harness.statistics.multiple import holm, intersection_union


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
