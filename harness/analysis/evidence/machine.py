"""How fast the machine was through the run, by the speedometer.

Jobs at another speed, and those beside other work, are left out of times. Their scores count: what a model learns does
not depend on how fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.measurement.usual_speed import (
    UsualSpeed,
    find_usual_speed,
    readings_of,
    shares_of_usual,
    speed_share,
    unusual_speed,
)
from harness.records.trial import TrialRecord


@dataclass(frozen=True, kw_only=True)
class JobReading:
    """How fast the machine was during one job."""

    contender: str
    seed: int
    share: float | None
    """Of the machine's usual speed, by the rate that differs most; None where too little was read."""
    counts: bool
    """Whether the job's times count."""
    first_share: float | None
    """The same of the first time that it was measured; None if it was measured once."""


@dataclass(frozen=True, kw_only=True)
class SpeedPoint:
    """One reading, as a share of what is usual in the run."""

    at_s: float
    """Since the first reading."""
    during: str
    """The contender whose job or block it stands beside."""
    shares: Mapping[str, float]
    """By rate: "matmul_gflops", "memory_gb_per_s", or "sm_clock_mhz"."""


@dataclass(frozen=True, kw_only=True)
class MachineSpeed:
    """The speedometer's readings over the run."""

    usual: Mapping[str, float]
    """Median of each rate."""
    threshold: Mapping[str, float]
    """Share below which each counts as another speed: by its own scatter, and no nearer to 1 than a fixed share."""
    points: tuple[SpeedPoint, ...]
    """In order of time."""
    jobs: tuple[JobReading, ...]
    took_s: float
    """All readings together, outside every job."""


def usual_speed_of(records: Sequence[TrialRecord]) -> UsualSpeed:
    """Return what is usual in a run."""
    return find_usual_speed(readings_of(records))


def was_undisturbed(job: TrialRecord, usual: UsualSpeed) -> bool:
    """Whether a job's times count: true too where nothing was read, as in runs of an earlier version."""
    return not job.contamination and unusual_speed(job.speedometer, usual) is None


def summarise_machine(records: Sequence[TrialRecord]) -> MachineSpeed | None:
    """Return the trend and what it says of each job; None where too little was read to tell what is usual."""
    usual, readings = usual_speed_of(records), readings_of(records)
    if not usual:
        return None
    whose = [(reading, record.contender) for record in records for reading in readings_of([record])]
    whose.sort(key=lambda item: item[0].when_s)
    start_s = whose[0][0].when_s
    jobs = [record for record in records if record.kind == "job" and record.status == "done"]
    return MachineSpeed(
        usual={name: rate.median for name, rate in usual.items()},
        threshold={name: rate.least_share for name, rate in usual.items()},
        points=tuple(
            SpeedPoint(at_s=reading.when_s - start_s, during=who, shares=shares_of_usual([reading], usual))
            for reading, who in whose
        ),
        jobs=tuple(
            JobReading(
                contender=job.contender,
                seed=job.seed,
                share=speed_share(job.speedometer, usual),
                counts=was_undisturbed(job, usual),
                first_share=None if job.superseded is None else speed_share(job.superseded.speedometer, usual),
            )
            for job in jobs
        ),
        took_s=sum(reading.took_s for reading in readings),
    )
