"""Phases of a job outside training and evaluation: the harness's own code, which few strategies change.

They count with the baseline's time, so that drift between jobs neither helps nor harms, but for those that a strategy
declares to change (`Strategy.phases`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median, stdev
from typing import NamedTuple

from harness.records.trial import HARNESS_PHASES, TrialRecord

MOVED = "moved"
"""Stands for all phases that are not declared, together."""

_COUNTED = (*HARNESS_PHASES, "other")


class Spread(NamedTuple):
    """How much a time differs from job to job of a run."""

    deviation_s: float
    """Standard deviation."""
    degrees: int
    """Degrees of freedom: jobs − 1. 0 where there were too few jobs to tell."""


class Change(NamedTuple):
    """What one phase contributes to the difference of two jobs."""

    phase: str
    difference_s: float
    """Contender − baseline, means over their jobs."""
    standard_error_s: float
    degrees: float


def declared_phases(jobs: Sequence[TrialRecord]) -> frozenset[str]:
    """Return the phases that the strategies of these jobs say they change."""
    return frozenset(phase for job in jobs for strategy in job.strategies for phase in strategy.phases)


def spread_of(values_s: Sequence[float], baseline_s: Sequence[float] = ()) -> Spread:
    """Return the spread of values that should be the same.

    `baseline_s` are those of the baseline: as the first process of a run it may find cold caches, so its distance from
    the median is noise too.
    """
    if len(values_s) < 2:
        return Spread(0.0, 0)
    distance_s = abs(fmean(baseline_s) - median(values_s)) if baseline_s else 0.0
    return Spread(max(stdev(values_s), distance_s), len(values_s) - 1)


def phase_spreads(
    baseline: Sequence[TrialRecord], everyone: Sequence[TrialRecord], declared: frozenset[str]
) -> dict[str, Spread]:
    """Return the spread of each declared phase over the jobs of a run that don't change it, and of all others together.

    If nearly all jobs change a phase, as on a baseline that does, it is the spread over those that do. Differences
    between contenders are in it too, so it errs to the wide side.
    """
    spreads = {phase: _phase_spread(baseline, everyone, phase) for phase in declared}
    quiet, ours = (
        [_rest_s(job, declared) for job in jobs if not declared_phases([job])] for jobs in (everyone, baseline)
    )
    return spreads | {MOVED: spread_of(quiet, ours)}


def _phase_spread(baseline: Sequence[TrialRecord], everyone: Sequence[TrialRecord], phase: str) -> Spread:
    unchanged = [job for job in everyone if phase not in declared_phases([job])]
    if len(unchanged) < 2:
        return spread_of([_time_s(job, phase) for job in everyone if phase in declared_phases([job])])
    ours = [_time_s(job, phase) for job in baseline if phase not in declared_phases([job])]
    return spread_of([_time_s(job, phase) for job in unchanged], ours)


def changed_phases(
    baseline: Sequence[TrialRecord], contender: Sequence[TrialRecord], everyone: Sequence[TrialRecord]
) -> list[Change]:
    """Return what the declared phases of either side contribute; nothing if nothing is declared.

    What is declared counts as it was measured, faster or slower. All other phases together count only if they grew:
    otherwise work could be moved out of a declared phase into one that nobody looks at. `everyone` are the jobs of the
    run, whose spread is the uncertainty.
    """
    declared = declared_phases([*baseline, *contender])
    if not declared:
        return []
    spreads = phase_spreads(baseline, everyone, declared)
    jobs = len(baseline), len(contender)
    changes = [_change(phase, _difference_s(baseline, contender, phase), spreads, jobs) for phase in sorted(declared)]
    moved_s = fmean(_rest_s(job, declared) for job in contender) - fmean(_rest_s(job, declared) for job in baseline)
    return [*changes, *([_change(MOVED, moved_s, spreads, jobs)] if moved_s > 0 else [])]


def _change(phase: str, difference_s: float, spreads: Mapping[str, Spread], jobs: tuple[int, int]) -> Change:
    """Return a change with its uncertainty; where the spread is not known, nothing is known of the change either."""
    spread = spreads[phase]
    if spread.degrees == 0:
        return Change(phase, difference_s, abs(difference_s), 1.0)
    error_s = spread.deviation_s * math.sqrt(sum(1.0 / count for count in jobs))
    return Change(phase, difference_s, error_s, float(spread.degrees))


def _difference_s(baseline: Sequence[TrialRecord], contender: Sequence[TrialRecord], phase: str) -> float:
    return fmean(_time_s(job, phase) for job in contender) - fmean(_time_s(job, phase) for job in baseline)


def _time_s(job: TrialRecord, phase: str) -> float:
    """Return a phase's time; one that a job did not have took none."""
    return job.phases_s.get(phase, 0.0)


def _rest_s(job: TrialRecord, declared: frozenset[str]) -> float:
    return sum(_time_s(job, phase) for phase in _COUNTED if phase not in declared)
