"""Non-inferiority of scores, paired by seed and example."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from harness.statistics.estimate import Estimate

POWER = 0.8
MOST_SEEDS = 1_000
LEAST_TAIL = 1e-12
"""Smallest p-value that is told."""
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
    p_loss: float
    """Of "nothing is lost", whatever the margin."""
    standard_error: float
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
    """Mean squares of differences by seed and example, and what follows from them for their mean."""

    by_seed: float
    """Of the seeds; 0 with one seed."""
    by_example: float
    """Of the examples, no less than the residual's."""
    residual: float
    """Of what neither explains; 0 with one seed."""
    seeds: int
    examples: int

    @property
    def variance(self) -> float:
        """Of the mean, as it is estimated."""
        return max(self.by_example, self.by_seed + self.by_example - self.residual) / (self.seeds * self.examples)

    def reach(self, tail: float) -> float:
        """Return how far from the truth the mean lies with this probability, to one side, at most.

        The variance has two independent parts: that of the seeds (their mean square), with S − 1 degrees of freedom,
        and that of the examples (theirs above the residual's), with N − 1. Their own distances add as squares do (Howe
        1974, Journal of the American Statistical Association 69; the intervals of Graybill and Wang 1980, 75): one
        common number of degrees of freedom (Satterthwaite) promises too much where few seeds agree by chance. As they
        may, the distance is never below that of the examples' scatter, which is known far better.
        """
        own = -float(special.stdtrit(self.examples - 1, tail))
        distance = own**2 * self.by_example
        if self.seeds > 1:
            few = -float(special.stdtrit(self.seeds - 1, tail))
            above = own**2 * (self.by_example - self.residual)
            distance = max(distance, few**2 * self.by_seed + above)
        return math.sqrt(distance / (self.seeds * self.examples))

    def tail(self, distance: float) -> float:
        """Return the probability that `reach` takes to get so far, between `LEAST_TAIL` and 1 less that."""
        if distance < 0.0:
            return 1.0 - self.tail(-distance)
        if distance == 0.0 or self.reach(LEAST_TAIL) <= distance:
            return LEAST_TAIL if distance > 0.0 else 0.5
        found = optimize.brentq(lambda log: self.reach(math.exp(log)) - distance, math.log(LEAST_TAIL), math.log(0.5))
        return math.exp(found)


def assess(differences: np.ndarray, *, margin: float, alpha: float) -> NonInferiority:
    """Return the test for `differences`, float (seeds, examples), contender minus baseline in points.

    Seeds and questions are both samples, crossed: the variance of the mean is that of a two-way random-effects layout,
    (MS_seeds + MS_questions − MS_residual) / (S·N) (Searle, Casella and McCulloch 1992, Variance Components, 5). With
    one seed it covers the choice of the questions only, and not what another seed would have given.
    """
    seeds, examples = differences.shape
    mean = float(differences.mean())
    pseudo = np.resize([LOST_AND_WON, -LOST_AND_WON], (seeds, 2))
    spread = _estimate_spread(np.hstack([differences, pseudo]))
    half, one_sided = spread.reach(0.025), spread.reach(alpha)
    p_value = spread.tail(mean + margin)
    return NonInferiority(
        margin=margin,
        difference=mean,
        low=mean - half,
        high=mean + half,
        bound=mean - one_sided,
        alpha=alpha,
        p_value=p_value,
        p_inferior=1.0 - p_value,
        p_loss=spread.tail(-mean),
        standard_error=math.sqrt(spread.variance),
        seeds=seeds,
        examples=examples,
        detectable_loss=one_sided + spread.reach(1.0 - POWER),
        examples_needed=_examples_needed(spread, margin=margin, alpha=alpha),
        seeds_needed=_seeds_needed(spread, margin=margin, alpha=alpha),
    )


def mean_interval(differences: np.ndarray) -> Estimate:
    """Return the mean of float (seeds, examples) with its 95 % interval; for scores without jumps, as they are."""
    mean, half = float(differences.mean()), _estimate_spread(differences).reach(0.025)
    return Estimate(estimate=mean, low=mean - half, high=mean + half, kind="interval")


def _estimate_spread(differences: np.ndarray) -> _Spread:
    seeds, examples = differences.shape
    rows, columns = differences.mean(axis=1), differences.mean(axis=0)
    by_example = seeds * float(np.var(columns, ddof=1))
    if seeds == 1:
        return _Spread(by_seed=0.0, by_example=by_example, residual=0.0, seeds=seeds, examples=examples)
    rest = differences - rows[:, None] - columns[None, :] + differences.mean()
    residual = float(np.sum(rest**2)) / ((seeds - 1) * (examples - 1))
    return _Spread(
        by_seed=examples * float(np.var(rows, ddof=1)),
        by_example=max(by_example, residual),
        residual=residual,
        seeds=seeds,
        examples=examples,
    )


def _examples_needed(spread: _Spread, *, margin: float, alpha: float) -> int | None:
    """Return the questions that shrink the detectable loss to the margin; None if none do, as the seeds' part stays."""
    seeds_alone = max(0.0, spread.by_seed - spread.residual) / (spread.seeds * spread.examples)
    whole = spread.reach(alpha) + spread.reach(1.0 - POWER)
    stays = seeds_alone * _factor(spread.seeds, alpha) ** 2 if spread.seeds > 1 else 0.0
    left = margin**2 - stays
    return math.ceil(spread.examples * max(0.0, whole**2 - stays) / left) if left > 0 else None


def _seeds_needed(spread: _Spread, *, margin: float, alpha: float) -> int | None:
    """Return the seeds that certify the margin on as many questions, with what so few of them cost; None if none do."""
    if spread.seeds == 1:
        return None
    seeds_alone = max(spread.by_seed, spread.residual) / spread.examples
    examples_alone = (spread.by_example - spread.residual) / (spread.seeds * spread.examples)
    many = _factor(spread.examples, alpha)
    for seeds in range(2, MOST_SEEDS + 1):
        if _factor(seeds, alpha) ** 2 * seeds_alone / seeds + many**2 * examples_alone <= margin**2:
            return seeds
    return None


@functools.cache
def _factor(samples: int, alpha: float) -> float:
    """Return how many standard errors of so many samples certify a margin with the power."""
    return -float(special.stdtrit(samples - 1, alpha) + special.stdtrit(samples - 1, 1.0 - POWER))
