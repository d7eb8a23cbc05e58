"""Non-inferiority of EM and F1: intervals cover, acceptance errs no more often than stated. Simulated, fixed seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.statistics.noninferiority import assess, mean_interval

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
@pytest.mark.parametrize(("seeds", "seed_deviation"), [(1, 0.0), (2, 0.0), (2, 3.0), (3, 0.0), (3, 2.0), (5, 2.0)])
def test_intervals_cover_no_difference(seeds, examples, discordance, seed_deviation):
    results = shares(
        seeds * 1000 + examples, seeds=seeds, examples=examples, discordance=discordance, seed_deviation=seed_deviation
    )
    assert np.mean([r.low <= 0.0 <= r.high for r in results]) >= 0.95 - THREE_ERRORS


@pytest.mark.parametrize(("seeds", "seed_deviation"), [(1, 0.0), (2, 0.0), (2, 3.0), (3, 0.0), (3, 2.0), (5, 2.0)])
def test_a_loss_of_the_whole_margin_is_accepted_no_more_often_than_alpha(seeds, seed_deviation):
    results = shares(
        11, seeds=seeds, examples=250, discordance=0.15, seed_deviation=seed_deviation, shift=-4.0, margin=4.0
    )
    assert np.mean([r.p_value < 0.05 for r in results]) <= 0.05 + THREE_ERRORS
    assert np.mean([r.p_inferior < 0.05 for r in results]) <= 0.05 + THREE_ERRORS


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("of_seeds", [1.0, 10.0])
@pytest.mark.parametrize("of_examples", [0.0, 1.0, 10.0])
def test_whatever_share_seeds_and_questions_have_of_the_scatter_the_interval_covers(seeds, of_seeds, of_examples):
    """Variances of a mean over 200 questions: the residual's is 1. With one t for both parts 0.88 were covered."""
    rng, runs, covered, above = np.random.default_rng(20), 1000, 0, 0
    for _ in range(runs):
        seed, example = rng.normal(0.0, 1.0, (seeds, 1)), rng.normal(0.0, 1.0, 200)
        rest = rng.normal(0.0, 1.0, (seeds, 200))
        effects = math.sqrt((of_seeds - 1.0) / 200) * seed + math.sqrt(of_examples / seeds) * example
        found = assess(100.0 * (effects + rest), margin=1.0, alpha=0.05)
        covered += found.low <= 0.0 <= found.high
        above += found.bound <= 0.0
    assert covered / runs >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / runs)
    assert above / runs >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("seeds", [2, 3])
def test_questions_that_are_lost_for_every_seed_alike_count_as_the_sample_that_they_are(seeds):
    """No seed differs from another then, and the questions' own scatter is all there is."""
    rng = np.random.default_rng(21)
    covered = []
    for _ in range(RUNS):
        row = simulate(rng, seeds=1, examples=250, discordance=0.15)
        result = assess(np.repeat(row, seeds, axis=0), margin=1.0, alpha=0.05)
        covered.append(result.low <= 0.0 <= result.high)
    assert np.mean(covered) >= 0.95 - THREE_ERRORS


def test_two_seeds_that_agree_do_not_cost_the_whole_t_of_one_degree_of_freedom():
    """Half of the widths are below three quarters of that; all are at least the questions' own."""
    full, own = stats.t.ppf(0.975, 1), stats.norm.ppf(0.975)
    results = shares(22, seeds=2, examples=384, discordance=0.2)
    errors = [math.sqrt(2_000.0 / (2 * 384)) for _ in results]
    widths = np.array([(r.high - r.low) / 2 / error for r, error in zip(results, errors, strict=True)])
    assert np.median(widths) < 0.75 * full
    assert widths.min() > 0.85 * own


def test_seeds_needed_reach_the_power():
    """The question's scatter is the seeds' alone here, so that more of them settle it."""
    needed = assess(
        simulate(np.random.default_rng(23), seeds=3, examples=2000, discordance=0.2), margin=1.5, alpha=0.05
    ).seeds_needed
    reached = np.mean([r.p_value < 0.05 for r in shares(24, seeds=needed, examples=2000, discordance=0.2, margin=1.5)])
    assert 2 <= needed <= 8
    assert reached >= 0.8 - 3 * math.sqrt(0.16 / RUNS)


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
    factor = stats.t.ppf(0.95, 251) + stats.t.ppf(0.8, 251)
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


def test_the_mean_of_scores_without_jumps_is_covered_and_needs_no_pseudo_questions():
    rng = np.random.default_rng(25)
    covered = []
    for _ in range(RUNS):
        questions = rng.normal(0.0, 1.0, size=100)
        found = mean_interval(0.3 + questions + rng.normal(0.0, 0.1, (3, 1)) + rng.normal(0.0, 1.0, (3, 100)))
        covered.append(found.low <= 0.3 <= found.high)
    assert np.mean(covered) >= 0.95 - THREE_ERRORS
    same = mean_interval(np.zeros((2, 50)))
    assert (same.estimate, same.low, same.high) == (0.0, 0.0, 0.0)


def trained(rng, *, examples, lost):
    """Scores and expected scores, (2 models, 2 seeds, examples): each is right where its own logit is above 0.

    A model's expected score is the probability by that logit. The second model's logits lie lower by `lost`.
    """
    logits = rng.normal(0.2, 1.5, size=examples) + rng.normal(0.0, 0.5, size=(2, 2, examples))
    logits[1] -= lost
    return 100.0 * (logits > 0), 100.0 / (1.0 + np.exp(-1.5 * logits))


def adjusted(differences, covariate):
    """CUPED: what the covariate explains of the differences is taken out, as if its own mean were known to be 0."""
    slope = np.cov(differences.ravel(), covariate.ravel())[0, 1] / covariate.var()
    return differences - slope * covariate


def test_why_no_score_is_adjusted_by_what_training_changes():
    """The difference of expected scores would narrow the interval, and hide the loss: its own mean isn't known."""
    rng = np.random.default_rng(26)
    plain, hidden = [], []
    for _ in range(100):
        scores, expected = trained(rng, examples=1000, lost=0.15)
        difference = scores[1] - scores[0]
        plain.append(assess(difference, margin=1.0, alpha=0.05))
        hidden.append(assess(adjusted(difference, expected[1] - expected[0]), margin=1.0, alpha=0.05))
    assert np.mean([r.difference for r in plain]) == pytest.approx(-3.6, abs=0.5)
    assert np.mean([r.difference for r in hidden]) > -0.5
    assert np.mean([r.high - r.low for r in hidden]) < 0.8 * np.mean([r.high - r.low for r in plain])


def test_why_a_covariate_of_the_baseline_alone_gains_nothing():
    """Both models answer the same questions, so its mean is the same for both: the estimate stays what it was."""
    scores, expected = trained(np.random.default_rng(27), examples=1000, lost=0.15)
    difference = scores[1] - scores[0]
    covariate = expected[0] - expected[0].mean()
    assert adjusted(difference, covariate).mean() == pytest.approx(difference.mean())
