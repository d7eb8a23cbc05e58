"""Non-inferiority of scores, paired by seed and example."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

POWER = 0.8
MOST_SEEDS = 1_000
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
class _Error:
    """A standard error of the mean."""

    value: float
    degrees: float

    def reach(self, probability: float) -> float:
        """Return how far its t-distribution reaches."""
        return float(stats.t.ppf(probability, self.degrees)) * self.value


@dataclass(frozen=True, kw_only=True)
class _Spread:
    """What scatters, as variance components, and the standard errors of the mean that follow."""

    seeds: float
    """Variance component of the seeds."""
    examples: float
    interaction: float
    errors: tuple[_Error, ...]
    """Over the examples on these seeds, and over both; each must be borne."""


def assess(differences: np.ndarray, *, margin: float, alpha: float) -> NonInferiority:
    """Return the test for `differences`, float (seeds, examples), contender minus baseline in points.

    Seeds and questions are both samples, crossed: the variance of the mean is that of a two-way random-effects layout,
    (MS_seeds + MS_questions − MS_residual) / (S·N), with Satterthwaite's degrees of freedom (Satterthwaite 1946;
    Searle, Casella and McCulloch 1992, Variance Components, 5). Few seeds may agree by chance, so no end lies nearer
    than with the questions' scatter alone, which is known far better. As an end is only ever moved outwards by that,
    the interval covers what the first alone covers. With one seed it covers the choice of the questions only, and not
    what another seed would have given.
    """
    seeds, examples = differences.shape
    mean = float(differences.mean())
    pseudo = np.resize([LOST_AND_WON, -LOST_AND_WON], (seeds, 2))
    spread = _estimate_spread(np.hstack([differences, pseudo]))
    half, one_sided = (max(error.reach(p) for error in spread.errors) for p in (0.975, 1.0 - alpha))
    widest = max(spread.errors, key=lambda error: error.reach(1.0 - alpha))
    detectable = one_sided + widest.reach(POWER)
    # What stays however many questions there are, and what the margin leaves for the rest.
    stays = spread.seeds / seeds
    left = (margin * widest.value / detectable) ** 2 - stays
    return NonInferiority(
        margin=margin,
        difference=mean,
        low=mean - half,
        high=mean + half,
        bound=mean - one_sided,
        alpha=alpha,
        p_value=max(float(stats.t.sf((mean + margin) / e.value, e.degrees)) for e in spread.errors),
        p_inferior=max(float(stats.t.cdf((mean + margin) / e.value, e.degrees)) for e in spread.errors),
        standard_error=widest.value,
        degrees_of_freedom=widest.degrees,
        seeds=seeds,
        examples=examples,
        detectable_loss=detectable,
        examples_needed=math.ceil((widest.value**2 - stays) * examples / left) if left > 0 else None,
        seeds_needed=_seeds_needed(spread, examples, margin=margin, alpha=alpha),
    )


def _estimate_spread(differences: np.ndarray) -> _Spread:
    """Return variance components (moments; negative ones are 0) and the errors of the mean."""
    seeds, examples = differences.shape
    rows, columns = differences.mean(axis=1), differences.mean(axis=0)
    ms_examples = seeds * float(np.var(columns, ddof=1))
    if seeds == 1:
        only = _Error(value=math.sqrt(ms_examples / examples), degrees=examples - 1.0)
        return _Spread(seeds=0.0, examples=ms_examples, interaction=0.0, errors=(only,))
    residual = differences - rows[:, None] - columns[None, :] + differences.mean()
    ms_seeds = examples * float(np.var(rows, ddof=1))
    ms_residual = float(np.sum(residual**2)) / ((seeds - 1) * (examples - 1))
    # A mean square of the questions below the residual's is chance: there is no less than the residual.
    ms_examples = max(ms_examples, ms_residual)
    total = ms_seeds + ms_examples - ms_residual
    freedom = (
        ms_seeds**2 / (seeds - 1) + ms_examples**2 / (examples - 1) + ms_residual**2 / ((seeds - 1) * (examples - 1))
    )
    return _Spread(
        seeds=max(0.0, (ms_seeds - ms_residual) / examples),
        examples=(ms_examples - ms_residual) / seeds,
        interaction=ms_residual,
        errors=(
            _Error(value=math.sqrt(ms_examples / (seeds * examples)), degrees=examples - 1.0),
            _Error(value=math.sqrt(total / (seeds * examples)), degrees=max(1.0, total**2 / freedom)),
        ),
    )


def _seeds_needed(spread: _Spread, examples: int, *, margin: float, alpha: float) -> int | None:
    """Return the seeds that would certify the margin on as many questions, with what so few of them cost; or None."""
    seeds = np.arange(2, MOST_SEEDS + 1)
    variances = (spread.seeds + spread.interaction / examples) / seeds + spread.examples / examples
    enough = _factors(alpha) ** 2 * variances <= margin**2
    return int(seeds[enough.argmax()]) if enough.any() else None


@functools.cache
def _factors(alpha: float) -> np.ndarray:
    """Return, for 2 to `MOST_SEEDS` seeds, how many standard errors certify a margin with the power."""
    degrees = np.arange(1, MOST_SEEDS)
    return np.asarray(stats.t.ppf(1.0 - alpha, degrees) + stats.t.ppf(POWER, degrees))
