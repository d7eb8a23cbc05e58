"""What a contender's start costs beyond the baseline's: what a strategy builds once, and when that is earned back."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import NamedTuple

from scipy import stats

from harness.analysis.evidence.parts import Jobs, Parts, job_parts, warm_up_s
from harness.analysis.evidence.speed import SpeedEvidence
from harness.statistics.estimate import MAD_TO_DEVIATION, mean_or_none
from harness.statistics.paired import CONFIDENCE, LEAST_GAIN

WARM_UP_SCATTER = 0.1
"""Share by which a one-time cost is taken to differ from process to process (standard deviation) before more is known.
Measured between two seeds of the same contender: 5 to 15 % of a start of 0.15 to 0.3 s."""

SCATTER_DEGREES = 30.0
"""Degrees of freedom of that assumption for what a run measures once, such as a cold compile; the interval is to be a
little wider than a normal one."""

PRIOR_DEGREES = 3.0
"""Its weight beside the scatter that the starts of a run show, which is known from a few."""

MAD_EFFICIENCY = 0.37
"""Of the median absolute deviation as an estimate of normal spread (Huber 1981, "Robust Statistics", 5.1)."""


class Scatter(NamedTuple):
    """How much the start of one program differs from process to process."""

    deviation_s: float
    degrees: float
    starts: int
    """That it is known from."""


@dataclass(frozen=True, kw_only=True)
class WarmUp:
    """One-time costs of a contender beyond the baseline's, and when they are earned back."""

    baseline_s: float
    cold_s: float
    """With empty compiler caches, where it compiles; what the job speedup counts."""
    warm_s: float | None
    """With caches filled by an earlier job; None if no such job was measured, or nothing is compiled."""
    compiles: bool
    stall_s: float
    """One-time work in the first epoch beyond the baseline's, in no phase of its own; it has to be earned back too."""
    saved_per_step_s: float | None
    """Baseline step − contender step; None without timed segments."""
    break_even_steps: float | None
    """What its start costs beyond the baseline's and beyond chance ÷ saved per step; None if nothing is saved. 0 if
    nothing has to be earned back."""
    break_even_epochs: float | None
    break_even_steps_warm: float | None

    def without_saving(self) -> WarmUp:
        """Return what was paid, and not what it saved."""
        return replace(
            self, saved_per_step_s=None, break_even_steps=None, break_even_epochs=None, break_even_steps_warm=None
        )


@dataclass(frozen=True, kw_only=True)
class StartUp:
    """What a contender's start, and one-time work in its first epoch, cost beyond the baseline's."""

    difference_s: float
    """0 if it is not longer by more than `hidden_s`, nor shorter beyond chance."""
    hidden_s: float
    """By so much it may be longer and not be noticed: at most `LEAST_GAIN` of the job, which no claim rests on."""
    scatter_error_s: float
    """Standard error of the difference from the scatter of starts; 0 where none is counted."""
    once_error_s: float
    """Standard error of what was built once (`WARM_UP_SCATTER`)."""
    is_compiled: bool
    """Whether either side compiles, for which there is one cold start in a run."""
    scatter: Scatter


def start_scatter(everyone: Jobs) -> Scatter:
    """Return the scatter of the starts of all jobs of a run that compile nothing.

    From the median absolute deviation, as a single start may find cold caches. Where contenders were started more than
    once, from each start's distance from the mean of its contender. Otherwise from the distance from the median of
    all: strategies that really start slower are then outliers, if they are not most. Some starts hardly tell, so that
    is shrunk to `WARM_UP_SCATTER` of the median start.
    """
    starts: dict[str, list[float]] = {}
    for job in everyone:
        if job.compile_cache is None:
            starts.setdefault(job.contender, []).append(warm_up_s(job))
    single = [value for values in starts.values() for value in values]
    if not single:
        return Scatter(0.0, 1.0, 0)
    distances, free = [value - median(single) for value in single], len(single) - 1
    repeated = [values for values in starts.values() if len(values) > 1]
    if repeated:
        distances = [
            (value - fmean(values)) * math.sqrt(len(values) / (len(values) - 1))
            for values in repeated
            for value in values
        ]
        free = sum(len(values) - 1 for values in repeated)
    worth = MAD_EFFICIENCY * free
    found, prior = (MAD_TO_DEVIATION * median(map(abs, distances))) ** 2, (WARM_UP_SCATTER * median(single)) ** 2
    variance = (PRIOR_DEGREES * prior + worth * found) / (PRIOR_DEGREES + worth)
    return Scatter(math.sqrt(variance), PRIOR_DEGREES + worth, len(distances))


def compare_starts(baseline: Jobs, contender: Jobs, parts: tuple[Parts, Parts], everyone: Jobs) -> StartUp:
    """Return what the contender's start costs beyond the baseline's. `parts`: of the baseline's and contender's jobs.

    What is compiled, or built in the first epoch, counts as it was measured. Another start is the same code but for
    what the strategy builds, so it counts as the baseline's unless it differs by more than chance. If chance is wide
    that is no excuse: a start that is longer by `LEAST_GAIN` of the job counts in any case, with its error. A shorter
    one has to show it, and not only beside a baseline that found cold caches but beside the median of all.
    """
    base, own = parts
    scatter = start_scatter(everyone)
    stall_s = max(0.0, own.stall_s - base.stall_s)
    compiles = [any(job.compile_cache is not None for job in jobs) for jobs in (baseline, contender)]
    error_s = scatter.deviation_s * math.sqrt(
        sum(1.0 / part.warm_ups for part, is_compiled in zip(parts, compiles, strict=True) if not is_compiled)
    )
    chance_s = float(stats.t.ppf(0.5 + CONFIDENCE / 2.0, scatter.degrees)) * error_s
    hidden_s = min(chance_s, LEAST_GAIN * base.job_s)
    difference_s = own.warm_up_s - base.warm_up_s
    if not any(compiles):
        plain_s = [warm_up_s(job) for job in [*contender, *everyone] if job.compile_cache is None]
        shorter_s = own.warm_up_s - min(base.warm_up_s, median(plain_s))
        if not difference_s > hidden_s:
            difference_s = shorter_s if shorter_s < -chance_s else 0.0
    built_s = [base.warm_up_s * compiles[0], own.warm_up_s * compiles[1] + stall_s]
    return StartUp(
        difference_s=difference_s + stall_s,
        hidden_s=0.0 if any(compiles) else hidden_s,
        scatter_error_s=0.0 if difference_s == 0.0 else error_s,
        once_error_s=WARM_UP_SCATTER
        * math.hypot(*(once_s / math.sqrt(part.warm_ups) for once_s, part in zip(built_s, parts, strict=True))),
        is_compiled=any(compiles),
        scatter=scatter,
    )


def summarise_warm_up(
    baseline: Jobs, contender: Jobs, speed: SpeedEvidence | None, step_s: float | None, everyone: Jobs
) -> WarmUp | None:
    """Return one-time costs and break-even; None without whole jobs of both. `step_s` is the baseline's usual step."""
    base, own = job_parts(baseline), job_parts(contender)
    if base is None or own is None:
        return None
    warm_s = mean_or_none(warm_up_s(job) for job in contender if job.compile_cache == "warm")
    saved_s = None
    if speed is not None and speed.training is not None and step_s is not None:
        saved_s = step_s * (1.0 - 1.0 / speed.training.estimate)
    stall_s = max(0.0, own.stall_s - base.stall_s)
    steps = break_even(compare_starts(baseline, contender, (base, own), everyone).difference_s, saved_s)
    return WarmUp(
        baseline_s=base.warm_up_s,
        cold_s=own.warm_up_s,
        warm_s=warm_s,
        compiles=any(job.compile_cache is not None for job in contender),
        stall_s=stall_s,
        saved_per_step_s=saved_s,
        break_even_steps=steps,
        break_even_epochs=None if steps is None else steps / (base.steps / base.evaluations),
        break_even_steps_warm=None if warm_s is None else break_even(warm_s + stall_s - base.warm_up_s, saved_s),
    )


def break_even(extra_s: float, saved_per_step_s: float | None) -> float | None:
    """Return after how many steps of the baseline `extra_s` is earned back; None if it never is."""
    if saved_per_step_s is None:
        return None
    if extra_s <= 0:
        return 0.0
    return extra_s / saved_per_step_s if saved_per_step_s > 0 else None
