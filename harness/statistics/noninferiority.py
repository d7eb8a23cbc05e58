"""Non-inferiority of scores, paired by seed and example."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

POWER = 0.8
MOST_SEEDS = 10_000
LOST_AND_WON = 100.0
"""One pseudo-question lost and one won join each sample, so that no differing answer at all does not look certain: N
equal answers then give a bound near the rule of three, 3/N (in the manner of Agresti and Min 2005, Statistics in
Medicine 24)."""


@dataclass(frozen=True, kw_only=True)
class NonInferiority:
    """A score of a contender minus the baseline's, in points, held against the margin."""

    margin: float
    """Loss that is accepted, in points."""
    difference: float
    """Mean over seeds and questions, contender minus baseline."""
    low: float
    """Lower end of the two-sided 95 % interval."""
    high: float
    bound: float
    """One-sided lower bound at 1 − alpha: what may have been lost at worst."""
    alpha: float
    p_value: float
    """Of "the difference is −margin or less"."""
    p_inferior: float
    """Of "the difference is −margin or more"."""
    standard_error: float
    degrees_of_freedom: float
    seeds: int
    examples: int
    detectable_loss: float
    """Smallest margin that this size could certify with 80 % power, if there is no true difference."""
    examples_needed: int | None
    """Questions that would certify the margin with as many seeds, likewise; None if no number would."""
    seeds_needed: int | None
    """Seeds that would certify it on these questions; None if no number would."""


@dataclass(frozen=True, kw_only=True)
class _Spread:
    """Variance of the mean, and its parts."""

    variance: float
    degrees: float
    seeds: float
    """Variance component of the seeds."""
    examples: float
    interaction: float


def assess(differences: np.ndarray, *, margin: float, alpha: float) -> NonInferiority:
    """Return the test for `differences`, float (seeds, examples), contender minus baseline in points.

    Seeds and questions are both samples, crossed: the variance of the mean is that of a two-way random-effects layout,
    (MS_seeds + MS_questions − MS_residual) / (S·N), with Satterthwaite's degrees of freedom (Satterthwaite 1946;
    Searle, Casella and McCulloch 1992, Variance Components, 5). With one seed it covers the choice of the
    questions only, and not what another seed would have given.
    """
    seeds, examples = differences.shape
    mean = float(differences.mean())
    pseudo = np.resize([LOST_AND_WON, -LOST_AND_WON], (seeds, 2))
    spread = _estimate_spread(np.hstack([differences, pseudo]))
    error = math.sqrt(spread.variance)
    t = stats.t(spread.degrees)
    half, one_sided = float(t.ppf(0.975)) * error, float(t.ppf(1.0 - alpha)) * error
    power = float(t.ppf(POWER)) * error
    by_example, by_seed = spread.examples + spread.interaction / seeds, spread.seeds + spread.interaction / examples
    more_seeds = _needed(by_seed, spread.examples / examples, math.inf, margin=margin, alpha=alpha)
    return NonInferiority(
        margin=margin,
        difference=mean,
        low=mean - half,
        high=mean + half,
        bound=mean - one_sided,
        alpha=alpha,
        p_value=float(t.sf((mean + margin) / error)),
        p_inferior=float(t.cdf((mean + margin) / error)),
        standard_error=error,
        degrees_of_freedom=spread.degrees,
        seeds=seeds,
        examples=examples,
        detectable_loss=one_sided + power,
        examples_needed=_needed(by_example, spread.seeds / seeds, spread.degrees, margin=margin, alpha=alpha),
        seeds_needed=more_seeds if more_seeds is not None and more_seeds <= MOST_SEEDS else None,
    )


def _estimate_spread(differences: np.ndarray) -> _Spread:
    """Return variance components (moments; negative ones are 0) and the variance of the mean."""
    seeds, examples = differences.shape
    by_example = float(np.var(differences.mean(axis=0), ddof=1))
    if seeds == 1:
        return _Spread(variance=by_example / examples, degrees=examples - 1.0, seeds=0.0, examples=by_example,
                       interaction=0.0)  # fmt: skip
    rows, columns = differences.mean(axis=1), differences.mean(axis=0)
    residual = differences - rows[:, None] - columns[None, :] + differences.mean()
    ms_seeds = examples * float(np.var(rows, ddof=1))
    ms_examples = seeds * float(np.var(columns, ddof=1))
    ms_residual = float(np.sum(residual**2)) / ((seeds - 1) * (examples - 1))
    # A mean square of the seeds below the residual's is chance: counting it would promise more than one factor alone.
    ms_seeds = max(ms_seeds, ms_residual)
    total = ms_seeds + ms_examples - ms_residual
    freedom = (
        ms_seeds**2 / (seeds - 1) + ms_examples**2 / (examples - 1) + ms_residual**2 / ((seeds - 1) * (examples - 1))
    )
    return _Spread(
        variance=total / (seeds * examples),
        degrees=max(1.0, total**2 / freedom) if freedom > 0 else 1.0,
        seeds=max(0.0, (ms_seeds - ms_residual) / examples),
        examples=max(0.0, (ms_examples - ms_residual) / seeds),
        interaction=ms_residual,
    )


def _needed(own: float, other: float, degrees: float, *, margin: float, alpha: float) -> int | None:
    """Return the size that shrinks one variance enough, beside another that stays; None if none does."""
    factor = float(stats.t.ppf(1.0 - alpha, degrees) + stats.t.ppf(POWER, degrees))
    allowed = (margin / factor) ** 2 - other
    return math.ceil(own / allowed) if allowed > 0 else None
