"""Speedups where each process has a luck of its own: several starts of a contender against several of the baseline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from harness.statistics.paired import Ratio, combine

PRIOR_DEVIATION = 0.01
"""By which a program's time is taken to differ from start to start before anything is known: 1 %. Measured on a quiet
machine, 24 restarts of the baseline in seven groups of equal history: 0 to 1.5 %."""

PRIOR_DEGREES = 2.0
"""Weight of that, in processes. With 3 the interval is 3 to 5 % narrower and covers 2 points less at twice the
deviation."""


LEAST_VARIANCE = 1e-12
"""Of a log: nothing weighs infinitely much."""


class Between(NamedTuple):
    """How the time of one program differs from process to process."""

    variance: float
    """Of the log."""
    degrees: float
    """It is known as well as from that many processes more than one."""


class _Pool(NamedTuple):
    """Processes of one program, with the noise that their blocks have in common."""

    logs: np.ndarray
    variances: np.ndarray
    """Of each, from its blocks' noise alone."""
    degrees: float


def _pool(processes: Sequence[Ratio]) -> _Pool:
    """Return their logs; the noise of one block is taken to be the same in all of them, so that few blocks know it."""
    degrees = np.array([ratio.degrees_of_freedom for ratio in processes])
    blocks = np.array([ratio.blocks for ratio in processes])
    of_block = np.array([ratio.log_standard_error**2 for ratio in processes]) * blocks
    logs = np.array([math.log(ratio.estimate) for ratio in processes])
    return _Pool(logs, float(degrees @ of_block / degrees.sum()) / blocks, float(degrees.sum()))


def between_processes(programs: Iterable[Sequence[Ratio]]) -> Between:
    """Return how far processes of the same program lie apart, from all programs of which several were timed.

    A random effect of the process, as in Kalibera and Jones (2013, "Rigorous Benchmarking in Reasonable Time", ISMM)
    and Georges, Buytaert and Eeckhout (2007, "Statistically Rigorous Java Performance Evaluation", OOPSLA). By moments:
    what the processes' means scatter beyond what their blocks' noise explains (Searle, Casella and McCulloch 1992,
    "Variance Components", 3.6). Two or three processes hardly tell, so that is shrunk to `PRIOR_DEVIATION` (scaled
    inverse chi-squared prior; Gelman et al., "Bayesian Data Analysis", 2.6). The noise makes it worth fewer degrees of
    freedom than there are processes, by Satterthwaite's rule for the difference of two mean squares.
    """
    prior = PRIOR_DEVIATION**2
    scatter, explained, degrees, noise = 0.0, 0.0, 0, []
    for processes in programs:
        if len(processes) > 1:
            pool = _pool(processes)
            scatter += float(np.sum((pool.logs - pool.logs.mean()) ** 2))
            explained += float(pool.variances.sum()) * (1.0 - 1.0 / len(processes))
            degrees += len(processes) - 1
            noise += list(pool.variances)
    if degrees == 0:
        return Between(prior, PRIOR_DEGREES)
    found = max(0.0, (scatter - explained) / degrees)
    likely = max(found, prior)
    worth = degrees * (likely / (likely + float(np.mean(noise)))) ** 2
    return Between((PRIOR_DEGREES * prior + worth * found) / (PRIOR_DEGREES + worth), PRIOR_DEGREES + worth)


def against_restarts(own: Sequence[Ratio], restarts: Sequence[Ratio], between: Between) -> Ratio | None:
    """Return baseline ÷ contender from the contender's processes and the baseline's restarts; None without any process.

    Each of them was timed beside the same live baseline, which cancels: whatever its heap, its age and its luck have
    done to its own time, all that were timed beside it are off by that alike. So a contender is held against the
    restarts, and the live baseline only carries off the machine's drift. Without restarts it stands for the baseline,
    as one process of it. Errors are the noise of either side's blocks, and the luck of either side's processes.
    """
    if not own:
        return None
    one, other = _weigh(own, between), _weigh(restarts, between) if restarts else _Side(0.0, 0.0, 1.0, 1.0)
    parts = [
        (math.sqrt(one.noise), one.degrees),
        (math.sqrt(other.noise), other.degrees),
        (math.sqrt(between.variance * (one.share + other.share)), between.degrees),
    ]
    return combine(one.log - other.log, parts, blocks=sum(ratio.blocks for ratio in own))


def restarts_alone(restarts: Sequence[Ratio], between: Between) -> Ratio | None:
    """Return A/A centred on 1: the restarts are what all are held against, so only their own error remains."""
    if not restarts:
        return None
    side = _weigh(restarts, between)
    parts = [(math.sqrt(side.noise), side.degrees), (math.sqrt(between.variance * side.share), between.degrees)]
    return combine(0.0, parts, blocks=sum(ratio.blocks for ratio in restarts))


def pool(ratios: Sequence[Ratio]) -> Ratio | None:
    """Return what independent estimates of one ratio say together, weighed by how well each is known; None of none."""
    if len(ratios) < 2:
        return ratios[0] if ratios else None
    weights = np.array([1.0 / max(ratio.log_standard_error**2, LEAST_VARIANCE) for ratio in ratios])
    weights /= weights.sum()
    parts = [(w * ratio.log_standard_error, ratio.degrees_of_freedom) for w, ratio in zip(weights, ratios, strict=True)]
    log = float(weights @ [math.log(ratio.estimate) for ratio in ratios])
    return combine(log, parts, blocks=sum(ratio.blocks for ratio in ratios))


class _Side(NamedTuple):
    """The weighted mean of some processes."""

    log: float
    noise: float
    """Variance from the blocks' noise."""
    degrees: float
    share: float
    """Factor of the variance between processes: 1 ÷ processes, if all weigh the same."""


def _weigh(processes: Sequence[Ratio], between: Between) -> _Side:
    """Return their mean; a process whose few blocks say little weighs less."""
    pool = _pool(processes)
    weights = 1.0 / (between.variance + pool.variances)
    weights /= weights.sum()
    squares = weights**2
    return _Side(float(weights @ pool.logs), float(squares @ pool.variances), pool.degrees, float(squares.sum()))
