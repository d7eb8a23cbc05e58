"""The parts of a job: what is trained, evaluated and built once, and the harness's own phases around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING, NamedTuple

from harness.records.strategy import HARNESS_PHASES
from harness.records.trial import TrialRecord

if TYPE_CHECKING:
    from harness.analysis.evidence.speed import SpeedEvidence

WARM_UP_PHASES = ("apply_strategies", "warm_up")
"""Phases of a job that a strategy makes longer once: what it builds, compiles, captures."""

STALL = 1.25
"""A first epoch that takes this many times the longest of the later ones holds one-time work: what is compiled, chosen
or built at first use. Less may be noise."""

MOVED = "moved"
"""Stands for all phases that are not declared, together."""

_COUNTED = (*HARNESS_PHASES, "other")


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The phases of one contender's jobs that matter here, means over its seeds."""

    job_s: float
    """With `warm_up_s`."""
    training_s: float
    evaluation_s: float
    warm_up_s: float
    """Of the jobs that compiled with cold caches if there are any, else the mean."""
    warm_ups: int
    """Jobs that `warm_up_s` is the mean of."""
    stall_s: float
    """One-time work in the first epoch."""
    windows: float
    evaluations: float
    steps: float


def job_parts(jobs: Sequence[TrialRecord]) -> Parts | None:
    """Return the parts; None if a job lacks one."""
    whole = [job for job in jobs if job.job_time_s is not None and job.work is not None and job.epochs]
    if not whole or len(whole) < len(jobs):
        return None
    cold = [warm_up_s(job) for job in whole if job.compile_cache == "cold"]
    once = cold or [warm_up_s(job) for job in whole]
    return Parts(
        job_s=fmean((job.job_time_s or 0.0) - warm_up_s(job) for job in whole) + fmean(once),
        training_s=fmean(_phase_s(job, "training") for job in whole),
        evaluation_s=fmean(_phase_s(job, "evaluation") for job in whole),
        warm_up_s=fmean(once),
        warm_ups=len(once),
        stall_s=fmean(_stall_s(job) for job in whole),
        windows=fmean(job.work.windows for job in whole if job.work is not None),
        evaluations=fmean(len(job.epochs) for job in whole),
        steps=fmean(job.work.updates for job in whole if job.work is not None),
    )


def warm_up_s(job: TrialRecord) -> float:
    """Return a job's one-time costs of the strategies."""
    return _phase_s(job, *WARM_UP_PHASES)


def _stall_s(job: TrialRecord) -> float:
    """Return what the first epoch took beyond the longest later one, in training and evaluation; 0 under `STALL`."""
    training_s = [epoch.train_time_s for epoch in job.epochs]
    evaluation_s = [epoch.evaluation_time_s for epoch in job.epochs]
    return sum(
        first - max(later) for first, *later in (training_s, evaluation_s) if later and first > STALL * max(later)
    )


def scaled_training_s(baseline: Parts, contender: Parts, speed: SpeedEvidence | None) -> float | None:
    """Return the contender's training time: the baseline's, by the segments' ratio, per window; None without segments.

    A schedule that leaves windows out does so in its segments too; then their ratio already says it.
    """
    if speed is None or speed.training is None:
        return None
    windows = contender.windows / baseline.windows if speed.same_samples else 1.0
    return baseline.training_s * windows / speed.training.estimate


def scaled_evaluation_s(baseline: Parts, contender: Parts, speed: SpeedEvidence | None) -> float | None:
    """Return the contender's evaluation time: the baseline's, by the segments' ratio; None without segments."""
    if speed is None or speed.evaluation is None:
        return None
    return baseline.evaluation_s * (contender.evaluations / baseline.evaluations) / speed.evaluation.estimate


class Spread(NamedTuple):
    """How much a time differs from job to job of a run."""

    deviation_s: float
    """Standard deviation."""
    degrees: int
    """Degrees of freedom: jobs − 1. 0 where there were too few jobs to tell."""


class PhaseChange(NamedTuple):
    """What one phase contributes to the difference of two jobs."""

    phase: str
    difference_s: float
    """Contender − baseline, means over their jobs."""
    standard_error_s: float
    degrees: float


def declared_phases(jobs: Sequence[TrialRecord]) -> frozenset[str]:
    """Return the phases that the strategies of these jobs say they change (`Strategy.phases`)."""
    return frozenset(phase for job in jobs for strategy in job.strategies for phase in strategy.phases)


def changed_phases(
    baseline: Sequence[TrialRecord], contender: Sequence[TrialRecord], everyone: Sequence[TrialRecord]
) -> list[PhaseChange]:
    """Return what the declared phases of either side contribute; nothing if nothing is declared.

    What is declared counts as it was measured, faster or slower. All other phases together count only if they grew:
    otherwise work could be moved out of a declared phase into one that nobody looks at. `everyone` are the jobs of the
    run, whose spread is the uncertainty.
    """
    declared = declared_phases([*baseline, *contender])
    if not declared:
        return []
    changes = []
    for phase in sorted(declared):
        spread = _spread([phase], baseline, everyone, unless=frozenset([phase]))
        if spread.degrees == 0:
            # Nearly all jobs change it, as on a baseline that does: then it is the spread over those.
            changing = [_phase_s(job, phase) for job in everyone if phase in declared_phases([job])]
            spread = _spread_of(changing, [])
        changes.append(_change(phase, [phase], baseline, contender, spread))
    rest = [phase for phase in _COUNTED if phase not in declared]
    spread = _spread(rest, baseline, everyone, unless=declared_phases([*baseline, *everyone]))
    moved = _change(MOVED, rest, baseline, contender, spread)
    return [*changes, moved] if moved.difference_s > 0 else changes


def _change(
    name: str,
    phases: Sequence[str],
    baseline: Sequence[TrialRecord],
    contender: Sequence[TrialRecord],
    spread: Spread,
) -> PhaseChange:
    """Return a change with its uncertainty; where the spread is not known, nothing is known of the change either."""
    difference_s = fmean(_phase_s(job, *phases) for job in contender) - fmean(
        _phase_s(job, *phases) for job in baseline
    )
    if spread.degrees == 0:
        return PhaseChange(name, difference_s, abs(difference_s), 1.0)
    error_s = spread.deviation_s * math.sqrt(1.0 / len(baseline) + 1.0 / len(contender))
    return PhaseChange(name, difference_s, error_s, float(spread.degrees))


def _spread(
    phases: Sequence[str], baseline: Sequence[TrialRecord], everyone: Sequence[TrialRecord], *, unless: frozenset[str]
) -> Spread:
    """Return the spread of the time in some phases over the jobs that declare none of `unless`.

    Differences between contenders are in it too, so it errs to the wide side.
    """
    values_s, baseline_s = (
        [_phase_s(job, *phases) for job in jobs if not declared_phases([job]) & unless] for jobs in (everyone, baseline)
    )
    return _spread_of(values_s, baseline_s)


def _spread_of(values_s: Sequence[float], baseline_s: Sequence[float]) -> Spread:
    """Return the spread of values that should be the same.

    `baseline_s` are those of the baseline: as the first process of a run it may find cold caches, so its distance from
    the median is noise too.
    """
    if len(values_s) < 2:
        return Spread(0.0, 0)
    distance_s = abs(fmean(baseline_s) - median(values_s)) if baseline_s else 0.0
    return Spread(max(stdev(values_s), distance_s), len(values_s) - 1)


def _phase_s(job: TrialRecord, *phases: str) -> float:
    """Return the time in some phases; one that a job did not have took none."""
    return sum(job.phases_s.get(phase, 0.0) for phase in phases)
