"""Statistics over records: speedups with their range, differences of EM and F1, throughput.

Trials of the same seed are paired: they drew the same answer head, order and dropout. A trial without a partner is
left out. A range is the lowest and highest value that was seen, not a confidence interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal, TypeAlias

from harness.records.trial import StepRecord, TrialRecord

Pair: TypeAlias = tuple[TrialRecord, TrialRecord]
"""The baseline's job and the contender's job of one seed."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number and how far to trust it."""

    estimate: float
    low: float | None = None
    """Lower end; None when there is only one value, and so no spread."""
    high: float | None = None
    kind: Literal["range", "interval"] = "range"
    """Lowest and highest value seen, or a 95 % confidence interval."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A score of the baseline and of a contender, in percent; the difference in points."""

    baseline: float | None
    """Mean over the seeds."""
    contender: float | None
    """Mean over the seeds."""
    difference: float | None
    """Contender minus baseline."""
    low: float | None
    """Lower bound of the difference's 95 % interval; None without the scores of single questions."""
    high: float | None
    contender_low: float | None
    """The contender's lowest value of any seed; None with one seed."""
    contender_high: float | None


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """How fast the steps were. All steps count, those of the first epoch too: warm-up is a phase before them."""

    steps: int
    median_step_time_ms: float
    windows_per_s: float
    useful_tokens_per_s: float
    """Tokens that are not padding."""
    computed_tokens_per_s: float
    """Tokens with padding."""


def mean_or_none(values: Iterable[float | None]) -> float | None:
    """Return the mean of what was measured and is finite; None if nothing was."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return fmean(known) if known else None


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean; ratios average so that 2× and 0.5× cancel. All values must be above 0."""
    return math.exp(fmean(math.log(value) for value in values))


def summarise_ratios(ratios: Sequence[float]) -> Estimate | None:
    """Return the geometric mean and the range; None without values, no range with one."""
    if not ratios:
        return None
    low, high = value_range(ratios)
    return Estimate(estimate=geometric_mean(ratios), low=low, high=high)


def value_range(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the lowest and highest value; None for both if there are fewer than two."""
    return (min(values), max(values)) if len(values) > 1 else (None, None)


def pair_by_seed(baseline: Sequence[TrialRecord], contender: Sequence[TrialRecord]) -> list[Pair]:
    """Return the pairs of jobs with the same seed, in order of the seeds."""
    partners = {job.seed: job for job in contender}
    ordered = sorted(baseline, key=lambda job: job.seed)
    return [(job, partners[job.seed]) for job in ordered if job.seed in partners]


def job_speedup(pairs: Sequence[Pair]) -> Estimate | None:
    """Return baseline job time ÷ contender job time: geometric mean and range over the seeds."""
    ratios = (_ratio(ours.job_time_s, theirs.job_time_s) for ours, theirs in pairs)
    return summarise_ratios([ratio for ratio in ratios if ratio is not None])


def step_speedup(pairs: Sequence[Pair]) -> Estimate | None:
    """Return baseline ÷ contender training time of the same epoch and seed: geometric mean and range over all pairs."""
    ratios: list[float] = []
    for ours, theirs in pairs:
        times_s = {epoch.epoch: epoch.train_time_s for epoch in theirs.epochs}
        both = (_ratio(epoch.train_time_s, times_s.get(epoch.epoch)) for epoch in ours.epochs)
        ratios += [ratio for ratio in both if ratio is not None]
    return summarise_ratios(ratios)


def _ratio(baseline_s: float | None, contender_s: float | None) -> float | None:
    if not baseline_s or not contender_s or baseline_s < 0 or contender_s < 0:
        return None
    ratio = baseline_s / contender_s
    return ratio if math.isfinite(ratio) and ratio > 0 else None


def compare_quality(
    name: str,
    baseline: Sequence[TrialRecord],
    contender: Sequence[TrialRecord],
    interval: tuple[float, float] | None = None,
) -> Difference | None:
    """Compare the last epoch's score. With partners, means and differences are over the paired seeds only.

    `interval` is the difference's. None if the contender has no value.
    """
    pairs = pair_by_seed(baseline, contender)
    measured = [
        (first, second)
        for first, second in ((last_quality(ours, name), last_quality(theirs, name)) for ours, theirs in pairs)
        if first is not None and second is not None
    ]
    if measured:
        own = [second for _, second in measured]
    else:
        own = [value for value in (last_quality(job, name) for job in contender) if value is not None]
    if not own:
        return None
    differences = [second - first for first, second in measured]
    low, high = interval if differences and interval is not None else (None, None)
    contender_low, contender_high = value_range(own)
    return Difference(
        baseline=fmean(first for first, _ in measured) if measured else None,
        contender=fmean(own),
        difference=fmean(differences) if differences else None,
        low=low,
        high=high,
        contender_low=contender_low,
        contender_high=contender_high,
    )


def last_quality(job: TrialRecord, name: str) -> float | None:
    """Return a score after the last epoch; None if it was not measured."""
    value = job.epochs[-1].scores.get(name) if job.epochs else None
    return value if value is not None and math.isfinite(value) else None


def measure_throughput(steps: Sequence[StepRecord]) -> Throughput | None:
    """Return the throughput over all steps given; None if there are none, or no time passed."""
    total_s = sum(step.time_s for step in steps)
    if not steps or total_s <= 0:
        return None
    return Throughput(
        steps=len(steps),
        median_step_time_ms=median(step.time_s for step in steps) * 1000.0,
        windows_per_s=sum(step.windows for step in steps) / total_s,
        useful_tokens_per_s=sum(step.useful_tokens for step in steps) / total_s,
        computed_tokens_per_s=sum(step.computed_tokens for step in steps) / total_s,
    )
