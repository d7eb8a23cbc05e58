"""Draws among draws, and means of deviations: error rates by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from harness.statistics.perturbation import assess_mean, part_scales, pool_ratios, scatter_ratios

SCALES = np.arange(1, 401) ** -0.3
"""Of 400 directions, some of which carry much of the scatter: squared distances then vary by about 15 % from draw to
draw, as those of the bundled encoder's gradients do."""

RUNS = 300


def within(share, allowed, runs=RUNS):
    """Whether a simulated share is no more than is allowed, up to three standard errors."""
    return share <= allowed + 3.0 * np.sqrt(allowed * (1.0 - allowed) / runs)


def draw_group(rng, draws, *, shift=0.0, shrink=1.0, heavy=False):
    """Inner products of a contender's vector and of draws, all around a common mean."""
    noise = rng.standard_t(3, size=(draws + 1, len(SCALES))) if heavy else rng.normal(size=(draws + 1, len(SCALES)))
    vectors = 0.3 + noise * SCALES
    vectors[0] = 0.3 + (vectors[0] - 0.3) * shrink + shift * SCALES
    centred = vectors - vectors.mean(axis=0)
    return centred @ centred.T


@pytest.mark.parametrize("draws", [3, 4, 6])
def test_the_ratio_of_one_more_draw_is_one_on_average_and_that_of_the_mean_itself_is_small(draws):
    rng = np.random.default_rng(0)
    logs = np.log([scatter_ratios(draw_group(rng, draws))[0] for _ in range(RUNS)])
    assert logs.mean() == pytest.approx(0.0, abs=0.05)
    assert 0.1 < logs.std() < 0.25
    still = [scatter_ratios(draw_group(rng, draws, shrink=0.0))[0] for _ in range(RUNS)]
    assert np.median(still) == pytest.approx(1.0 / (draws + 1), abs=0.03)


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize(("draws", "groups"), [(3, 3), (4, 6), (6, 12)])
def test_one_more_draw_is_called_another_no_oftener_than_stated_whatever_the_distribution(draws, groups, heavy):
    rng = np.random.default_rng(1)
    tests = [
        pool_ratios([scatter_ratios(draw_group(rng, draws, heavy=heavy)) for _ in range(groups)]) for _ in range(RUNS)
    ]
    for alpha in (0.05, 0.01):
        assert within(np.mean([test.p_more <= alpha for test in tests]), alpha)
        assert within(np.mean([test.p_less <= alpha for test in tests]), alpha)


@pytest.mark.parametrize(
    ("change", "side", "audits"),
    [
        ({"shift": 1.0}, "p_more", 5),  # about what half of each batch does, or a batch of before
        ({"shift": 0.5}, "p_more", 15),  # one window of eight left out
        ({"shrink": 0.0}, "p_less", 5),  # no dropout
        ({"shrink": 0.88}, "p_less", 30),  # dropout, but none of attention's
    ],
)
def test_what_lies_elsewhere_or_scatters_less_is_found_over_some_audits(change, side, audits):
    rng = np.random.default_rng(2)
    found = [
        getattr(pool_ratios([scatter_ratios(draw_group(rng, 4, **change)) for _ in range(audits)]), side) < 5e-4
        for _ in range(100)
    ]
    assert np.mean(found) > 0.9


def test_the_same_groups_give_the_same_p_value_also_where_it_is_drawn():
    rng = np.random.default_rng(3)
    groups = [scatter_ratios(draw_group(rng, 6)) for _ in range(12)]
    assert pool_ratios(groups) == pool_ratios(groups)


def draw_deviations(rng, count, common):
    sizes = rng.uniform(0.5, 2.0, size=(count, 1))
    deviations = rng.normal(size=(count, len(SCALES))) * SCALES * sizes
    deviations[:, 5:] += common / np.sqrt(len(SCALES) - 5)
    return deviations @ deviations.T


@pytest.mark.parametrize("count", [3, 6, 12, 20])
def test_a_mean_that_shrinks_as_chance_would_have_it_is_called_biased_no_oftener_than_stated(count):
    rng = np.random.default_rng(4)
    p_values = [assess_mean(draw_deviations(rng, count, 0.0), alpha=0.05).p_value for _ in range(RUNS)]
    assert within(np.mean(np.array(p_values) <= 0.05), 0.05)
    assert np.median(p_values) > 0.3


@pytest.mark.parametrize("common", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("count", [3, 6, 12])
def test_the_end_of_the_interval_covers_what_deviations_have_in_common(count, common):
    rng = np.random.default_rng(5)
    means = [assess_mean(draw_deviations(rng, count, common), alpha=0.05) for _ in range(RUNS)]
    assert within(np.mean([mean.common_at_most < common for mean in means]), 0.07)
    squares = np.array([mean.common for mean in means]) ** 2
    assert np.mean(squares) >= common**2 - 3.0 * squares.std() / np.sqrt(RUNS)


def test_what_all_deviations_have_in_common_is_found():
    rng = np.random.default_rng(6)
    means = [assess_mean(draw_deviations(rng, 12, 3.0), alpha=0.05) for _ in range(100)]
    assert np.mean([mean.p_value < 0.01 for mean in means]) > 0.9
    assert np.median([mean.common for mean in means]) == pytest.approx(3.0, rel=0.15)


def test_two_deviations_are_too_few_to_bound_what_they_have_in_common():
    mean = assess_mean(np.eye(2), alpha=0.05)
    assert mean.common_at_most == np.inf


def test_a_part_without_scatter_is_measured_against_a_share_of_the_whole():
    scales = part_scales(np.array([0.0, 1e-8, 0.003, 1.0]))
    assert scales == pytest.approx([0.02, 0.02, 0.003, 1.0], rel=1e-3)
