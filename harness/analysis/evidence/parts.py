"""The parts of a job: what is trained, evaluated and built once, and the harness's own phases around them."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import NamedTuple

from harness.records.strategy import HARNESS_PHASES
from harness.records.trial import TrialRecord

Jobs = Sequence[TrialRecord]
"""Whole fine-tunings of one contender, or of all."""

Pair = tuple[TrialRecord, TrialRecord]
"""The baseline's job and the contender's of one seed: they drew the same head, order and dropout."""

WARM_UP_PHASES = ("apply_strategies", "warm_up")
"""Phases of a job that a strategy makes longer once: what it builds, compiles, captures."""

STALL = 1.25
"""A first epoch that takes this many times the longest of the later ones holds one-time work: what is compiled, chosen
or built at first use. Less may be noise."""

MOVED = "moved"
"""Stands for all phases that are not declared, together."""

_COUNTED = (*HARNESS_PHASES, "other")


def pair_by_seed(baseline: Jobs, contender: Jobs) -> list[Pair]:
    """Return the pairs of jobs with the same seed, in order of the seeds; a job without a partner is left out."""
    partners = {job.seed: job for job in contender}
    return [(job, partners[job.seed]) for job in sorted(baseline, key=lambda job: job.seed) if job.seed in partners]


def last_score(job: TrialRecord, name: str) -> float | None:
    """Return a score after the last epoch; None if it was not measured."""
    return _finite(job.epochs[-1].scores.get(name) if job.epochs else None)


def quality_set_score(job: TrialRecord, name: str) -> float | None:
    """Return a score of the trained model on the quality set; None if it was not measured."""
    return _finite(None if job.quality_set is None else job.quality_set.scores.get(name))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


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


def job_parts(jobs: Jobs) -> Parts | None:
    """Return the parts; None if a job lacks one."""
    whole = [job for job in jobs if job.job_time_s is not None and job.work is not None and job.epochs]
    if not whole or len(whole) < len(jobs):
        return None
    cold = [warm_up_s(job) for job in whole if job.compile_cache == "cold"]
    once = cold or [warm_up_s(job) for job in whole]
    stalls_s = []
    for job in whole:
        # What the first epoch took beyond the longest later one.
        phases = [[epoch.train_time_s for epoch in job.epochs], [epoch.evaluation_time_s for epoch in job.epochs]]
        stalls_s.append(
            sum(first - max(later) for first, *later in phases if later and first > STALL * max(later)),
        )
    return Parts(
        job_s=fmean((job.job_time_s or 0.0) - warm_up_s(job) for job in whole) + fmean(once),
        training_s=fmean(_phase_s(job, "training") for job in whole),
        evaluation_s=fmean(_phase_s(job, "evaluation") for job in whole),
        warm_up_s=fmean(once),
        warm_ups=len(once),
        stall_s=fmean(stalls_s),
        windows=fmean(job.work.windows for job in whole if job.work is not None),
        evaluations=fmean(len(job.epochs) for job in whole),
        steps=fmean(job.work.updates for job in whole if job.work is not None),
    )


def warm_up_s(job: TrialRecord) -> float:
    """Return a job's one-time costs of the strategies."""
    return _phase_s(job, *WARM_UP_PHASES)


class PhaseChange(NamedTuple):
    """What one phase contributes to the difference of two jobs."""

    phase: str
    difference_s: float
    """Contender − baseline, means over their jobs."""
    standard_error_s: float
    degrees: float


def declared_phases(jobs: Jobs) -> frozenset[str]:
    """Return the phases that the strategies of these jobs say they change (`Strategy.phases`)."""
    return frozenset(phase for job in jobs for strategy in job.strategies for phase in strategy.phases)


def changed_phases(baseline: Jobs, contender: Jobs, everyone: Jobs) -> list[PhaseChange]:
    """Return what the declared phases of either side contribute; nothing if nothing is declared.

    What is declared counts as it was measured, faster or slower. All other phases together count only if they grew:
    otherwise work could be moved out of a declared phase into one that nobody looks at. `everyone` are the jobs of the
    run; the spread over those that don't change a phase is the uncertainty. Differences between contenders are in it
    too, so it errs to the wide side.
    """
    declared = declared_phases([*baseline, *contender])
    if not declared:
        return []
    changes = []
    for phase in sorted(declared):
        same, first = _without(everyone, {phase}), _without(baseline, {phase})
        if len(same) < 2:
            # Nearly all jobs change it, as on a baseline that does: then it is the spread over those.
            same, first = [job for job in everyone if phase in declared_phases([job])], []
        changes.append(_change(phase, [phase], baseline, contender, same, first))
    rest = [phase for phase in _COUNTED if phase not in declared]
    changing = declared_phases([*baseline, *everyone])
    moved = _change(MOVED, rest, baseline, contender, _without(everyone, changing), _without(baseline, changing))
    return [*changes, moved] if moved.difference_s > 0 else changes


def _without(jobs: Jobs, phases: Set[str]) -> Jobs:
    return [job for job in jobs if not declared_phases([job]) & phases]


def _change(name: str, phases: Sequence[str], baseline: Jobs, contender: Jobs, same: Jobs, first: Jobs) -> PhaseChange:
    """Return a change with its uncertainty: the spread over jobs that should take the `same` time.

    Where fewer than two tell it, nothing is known of the change either. `first` are the baseline's of them: as the
    first process of a run it may find cold caches, so its distance from the median is noise too.
    """
    baseline_s, contender_s, same_s, first_s = (
        [_phase_s(job, *phases) for job in jobs] for jobs in (baseline, contender, same, first)
    )
    difference_s = fmean(contender_s) - fmean(baseline_s)
    if len(same_s) < 2:
        return PhaseChange(name, difference_s, abs(difference_s), 1.0)
    distance_s = abs(fmean(first_s) - median(same_s)) if first_s else 0.0
    error_s = max(stdev(same_s), distance_s) * math.sqrt(1.0 / len(baseline) + 1.0 / len(contender))
    return PhaseChange(name, difference_s, error_s, float(len(same_s) - 1))


def _phase_s(job: TrialRecord, *phases: str) -> float:
    """Return the time in some phases; one that a job did not have took none."""
    return sum(job.phases_s.get(phase, 0.0) for phase in phases)
