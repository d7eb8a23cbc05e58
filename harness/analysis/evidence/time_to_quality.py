"""How long until the model is as good: the measure for strategies that train on another schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.analysis.evidence.job import JobSpeed, job_parts, scaled_parts
from harness.analysis.evidence.speed import SpeedEvidence
from harness.analysis.evidence.summary import Pair, last_quality, pair_by_seed
from harness.records.trial import TrialRecord


@dataclass(frozen=True, kw_only=True)
class TimeToScore:
    """Time from the start of the job until the headline score reaches a target, both put together from the job's parts.

    Each seed has its own target, the baseline's score at the end with that seed less the non-inferiority margin: a seed
    may end points below the mean of all, which it then never reaches.
    """

    target: float
    """Mean over the seeds."""
    baseline_epochs: tuple[int | None, ...]
    """First epoch that reaches the target, by seed; None where none does."""
    contender_epochs: tuple[int | None, ...]
    baseline_s: float | None
    """Mean over the seeds; None if a seed never got there."""
    contender_s: float | None
    speedup: float | None


def time_to_score(
    metric: str,
    baseline: Sequence[TrialRecord],
    contender: Sequence[TrialRecord],
    job: JobSpeed | None,
    evidence: SpeedEvidence | None,
    *,
    margin: float,
) -> TimeToScore | None:
    """Return the time to the target over the seeds of both; None without the job's speed or its scores."""
    ours, theirs = job_parts(baseline), job_parts(contender)
    targets = _targets(metric, pair_by_seed(baseline, contender), margin)
    if job is None or ours is None or theirs is None or not targets or evidence is None:
        return None
    if evidence.training is None or evidence.evaluation is None:
        return None
    baseline_epochs = tuple(first_epoch(metric, record, target) for (record, _), target in targets)
    contender_epochs = tuple(first_epoch(metric, record, target) for (_, record), target in targets)
    epoch_s = (ours.training_s + ours.evaluation_s) / ours.evaluations
    start_s = job.baseline_s - ours.training_s - ours.evaluation_s
    training_s, evaluation_s = scaled_parts(ours, theirs, evidence.training, evidence.evaluation, evidence.same_samples)
    their_epoch_s = (training_s + evaluation_s) / theirs.evaluations
    their_start_s = job.contender_s - training_s - evaluation_s
    baseline_s = _mean_time(baseline_epochs, start_s, epoch_s)
    contender_s = _mean_time(contender_epochs, their_start_s, their_epoch_s)
    return TimeToScore(
        target=fmean(target for _, target in targets),
        baseline_epochs=baseline_epochs,
        contender_epochs=contender_epochs,
        baseline_s=baseline_s,
        contender_s=contender_s,
        speedup=baseline_s / contender_s if baseline_s and contender_s else None,
    )


def _targets(metric: str, pairs: Sequence[Pair], margin: float) -> list[tuple[Pair, float]]:
    """Return what each pair of jobs must reach, where the baseline's score was measured."""
    finals = ((pair, last_quality(pair[0], metric)) for pair in pairs)
    return [(pair, final - margin) for pair, final in finals if final is not None]


def first_epoch(metric: str, record: TrialRecord, target: float) -> int | None:
    """Return the first epoch whose score reaches `target`."""
    return next((epoch.epoch for epoch in record.epochs if epoch.scores.get(metric, -1.0) >= target), None)


def _mean_time(epochs: Sequence[int | None], start_s: float, epoch_s: float) -> float | None:
    reached = [start_s + epoch * epoch_s for epoch in epochs if epoch is not None]
    return fmean(reached) if reached and len(reached) == len(epochs) else None
