"""What the harness itself costs: per step, in every run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.records.trial import BASELINE, TrialRecord


@dataclass(frozen=True, kw_only=True)
class Overhead:
    """One part of the harness beside the jobs."""

    part: str
    inside: bool
    """Whether it takes its time from the steps; others pause the job and its clock."""
    step_ms: float
    """Per step of the baseline, mean over its jobs."""
    share: float
    """Of that step."""
    worst_share: float
    """The largest share in the jobs of any contender."""
    worst: str
    """Whose."""


def _sampler_s(job: TrialRecord) -> float | None:
    return None if job.sampling is None else job.sampling.overhead_share * _training_s(job)


def _audits_s(job: TrialRecord) -> float | None:
    audits = job.audits
    if audits is None or audits.cost is None:
        return None
    return audits.cost.snapshots_s + audits.cost.questions_s + audits.cost.saving_s


def _speedometer_s(job: TrialRecord) -> float | None:
    return sum(reading.took_s for reading in job.speedometer) if job.speedometer else None


PARTS: Mapping[str, tuple[Callable[[TrialRecord], float | None], bool]] = {
    "sampler (processor time of its thread)": (_sampler_s, True),
    "recorder (what each step did)": (lambda job: job.recording_s, True),
    "audits (keeping each step's state, replays)": (_audits_s, False),
    "speedometer (before, between and after epochs)": (_speedometer_s, False),
}
"""By its words: its seconds in one job, and whether they are in the steps. A new part is a line here."""


def measure_overhead(jobs: Sequence[TrialRecord]) -> tuple[Overhead, ...]:
    """Return what each part cost in the whole fine-tunings; one that no job of the baseline measured is left out."""
    whole = [job for job in jobs if job.work is not None and job.work.updates and _training_s(job) > 0]
    found = []
    for part, (seconds_of, inside) in PARTS.items():
        taken = [(job, seconds) for job in whole if (seconds := seconds_of(job)) is not None]
        shares = [(seconds / _training_s(job), job.contender) for job, seconds in taken]
        own = [(job, seconds) for job, seconds in taken if job.contender == BASELINE]
        if not own:
            continue
        worst_share, worst = max(shares)
        found.append(
            Overhead(
                part=part,
                inside=inside,
                step_ms=fmean(seconds / job.work.updates * 1000.0 for job, seconds in own if job.work is not None),
                share=fmean(seconds / _training_s(job) for job, seconds in own),
                worst_share=worst_share,
                worst=worst,
            )
        )
    return tuple(found)


def _training_s(job: TrialRecord) -> float:
    return sum(epoch.train_time_s for epoch in job.epochs)
