"""How fast the whole job is, and when as good: put together from its phases and the ratios of the timed segments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal, NamedTuple

from harness.analysis.evidence.parts import (
    Jobs,
    Pair,
    Parts,
    PhaseChange,
    changed_phases,
    job_parts,
    last_score,
    pair_by_seed,
)
from harness.analysis.evidence.speed import LEAST_FLOOR, NoiseFloor, SpeedEvidence
from harness.analysis.evidence.startup import SCATTER_DEGREES, StartUp, compare_starts
from harness.statistics.estimate import Estimate, range_of_ratios
from harness.statistics.paired import Ratio, combine

CONTRADICTION = 1.5
"""A contender whose jobs take this many times what its segments promise is not what was timed. Less may be drift."""

CONTRADICTION_SHARE = 0.1
"""Of the job; a smaller difference between jobs and segments does not matter."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """One part of the uncertainty of a job's speedup."""

    part: str
    """In words: "training", "evaluation", "start-up", "one-time costs", or a declared phase."""
    log_standard_error: float
    """What it adds to the standard error of the log of the speedup, in squares."""
    degrees_of_freedom: float
    samples: int
    """Blocks, starts or jobs that it is known from."""
    settled_by: Literal["budget", "seeds", None]
    """What makes it smaller: more timed blocks and processes, more jobs; None: nothing that a run can measure more of.
    """


@dataclass(frozen=True, kw_only=True)
class JobSpeed:
    """The whole job's speedup, put together from its parts so that drift between jobs cancels.

    Start-up, loading, tokenising, span search, scoring and saving are the harness's own code, the same for every
    contender: they count with the baseline's time, unless a strategy declares that it changes them
    (`changed_phases`). Training and evaluation are the baseline's divided by the ratios of the ABBA segments, per
    window. What is compiled or built once is the contender's own, cold; other starts count with the baseline's unless
    they differ beyond chance (`compare_starts`). The interval propagates the uncertainty of the segments, of the start
    and of declared phases to first order, with Welch-Satterthwaite degrees of freedom (JCGM 100:2008, GUM, 5.1.2 and
    G.4.1). How much all jobs of the run differ is the uncertainty of single times.
    """

    ratio: Ratio
    floor: float
    """Beyond which the whole interval must lie for a difference to be claimed: `LEAST_FLOOR`. How far A/A may be from 1
    is in the interval already and not counted twice."""
    terms: tuple[Term, ...] = ()
    """What the interval is made of, largest first."""
    baseline_s: float
    """Mean job of the baseline; with a cold compile where it compiles."""
    contender_s: float
    """The same job with the contender's warm-up, and with training and evaluation at the measured ratios."""
    stall_s: float = 0.0
    """One-time work in the first epoch beyond the baseline's, in `contender_s`."""
    start_s: float = 0.0
    """Contender − baseline of all that is done once, in `contender_s`, `stall_s` included; 0: no difference shown."""
    hidden_start_s: float = 0.0
    """By so much its start may be longer than the baseline's and yet count as the same."""
    contradictions: tuple[str, ...] = ()
    """Parts that took much longer in the contender's jobs than its segments promise, in words."""
    phase_differences_s: dict[str, float] = field(default_factory=dict)
    """Contender − baseline of the phases that count with the contender's own time; "moved" are all others."""
    as_run: Estimate | None
    """Ratio of the jobs' wall-clock as they ran, one after the other: mean and range over the seeds."""


@dataclass(frozen=True, kw_only=True)
class TimeToScore:
    """Time from the start of the job until the headline score reaches a target, both put together from the job's parts.

    Each seed has its own target, the baseline's score at the end with that seed less the non-inferiority margin: a seed
    may end points below the mean of all, which it then never reaches. It is the measure for strategies that train on
    another schedule.
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


class ScaledJob(NamedTuple):
    """Both jobs' parts, and the contender's training and evaluation: the baseline's, by the segments' ratios."""

    baseline: Parts
    contender: Parts
    training_s: float
    evaluation_s: float
    stall_s: float
    """One-time work in the first epoch beyond the baseline's."""


def scale_job(baseline: Jobs, contender: Jobs, speed: SpeedEvidence | None) -> ScaledJob | None:
    """Return the parts; None if one was not measured."""
    base, own = job_parts(baseline), job_parts(contender)
    if base is None or own is None or speed is None or speed.evaluation is None:
        return None
    training_s = scaled_training_s(base, own, speed)
    evaluation_s = base.evaluation_s * (own.evaluations / base.evaluations) / speed.evaluation.estimate
    stall_s = max(0.0, own.stall_s - base.stall_s)
    return None if training_s is None else ScaledJob(base, own, training_s, evaluation_s, stall_s)


def scaled_training_s(baseline: Parts, contender: Parts, speed: SpeedEvidence | None) -> float | None:
    """Return the contender's training time: the baseline's, by the segments' ratio, per window; None without segments.

    A schedule that leaves windows out does so in its segments too; then their ratio already says it.
    """
    if speed is None or speed.training is None:
        return None
    windows = contender.windows / baseline.windows if speed.same_samples else 1.0
    return baseline.training_s * windows / speed.training.estimate


def compose_job(
    baseline: Jobs, contender: Jobs, speed: SpeedEvidence | None, floor: NoiseFloor | None, everyone: Jobs
) -> JobSpeed | None:
    """Return the job's speedup with a 95 % interval; None if a part, or A/A, was not measured. `everyone`: all jobs."""
    scaled = scale_job(baseline, contender, speed)
    if scaled is None or floor is None or speed is None or speed.training is None or speed.evaluation is None:
        return None
    base, own, training_s, evaluation_s, stall_s = scaled
    changes = changed_phases(baseline, contender, everyone)
    start = compare_starts(baseline, contender, (base, own), everyone)
    rest_s = base.job_s - base.training_s - base.evaluation_s + sum(change.difference_s for change in changes)
    job_s = rest_s + start.difference_s + training_s + evaluation_s
    terms = find_terms(scaled, job_s, speed, start, changes)
    return JobSpeed(
        ratio=combine(
            math.log(base.job_s / job_s),
            [(term.log_standard_error, term.degrees_of_freedom) for term in terms],
            blocks=speed.training.blocks,
        ),
        floor=LEAST_FLOOR,
        terms=terms,
        baseline_s=base.job_s,
        contender_s=job_s,
        stall_s=stall_s,
        start_s=start.difference_s,
        hidden_start_s=start.hidden_s,
        contradictions=find_contradictions(scaled, job_s),
        phase_differences_s={change.phase: change.difference_s for change in changes},
        as_run=jobs_as_run(pair_by_seed(baseline, contender)),
    )


def find_terms(
    scaled: ScaledJob, job_s: float, speed: SpeedEvidence, start: StartUp, changes: Sequence[PhaseChange]
) -> tuple[Term, ...]:
    """Return what the uncertainty of the job's speedup is made of, largest first; nothing of what is certain."""
    timed = (("training", scaled.training_s, speed.training), ("evaluation", scaled.evaluation_s, speed.evaluation))
    terms = [
        *(
            Term(
                part=part,
                log_standard_error=time_s / job_s * ratio.log_standard_error,
                degrees_of_freedom=ratio.degrees_of_freedom,
                samples=ratio.blocks,
                settled_by="budget",
            )
            for part, time_s, ratio in timed
            if ratio is not None
        ),
        Term(
            part="start-up",
            log_standard_error=start.scatter_error_s / job_s,
            degrees_of_freedom=start.scatter.degrees,
            samples=start.scatter.starts,
            settled_by="seeds",
        ),
        Term(
            part="one-time costs",
            log_standard_error=start.once_error_s / job_s,
            degrees_of_freedom=SCATTER_DEGREES,
            samples=scaled.contender.warm_ups,
            # Caches are cold once in a run.
            settled_by=None if start.is_compiled else "seeds",
        ),
        *(
            Term(
                part=change.phase,
                log_standard_error=change.standard_error_s / job_s,
                degrees_of_freedom=change.degrees,
                samples=round(change.degrees) + 1,
                settled_by="seeds",
            )
            for change in changes
        ),
    ]
    uncertain = [term for term in terms if term.log_standard_error > 0.0]
    return tuple(sorted(uncertain, key=lambda term: term.log_standard_error, reverse=True))


def find_contradictions(scaled: ScaledJob, job_s: float) -> tuple[str, ...]:
    """Return which parts took much longer in the contender's jobs than its segments promise, in words."""
    own = scaled.contender
    parts = (
        ("training", own.training_s, scaled.training_s + scaled.stall_s),
        ("evaluation", own.evaluation_s, scaled.evaluation_s + scaled.stall_s),
    )
    return tuple(
        f"{part} took {time_s:.1f} s in its jobs, where its segments promise {promised_s:.1f} s"
        for part, time_s, promised_s in parts
        if time_s > CONTRADICTION * promised_s and time_s - promised_s > CONTRADICTION_SHARE * job_s
    )


def jobs_as_run(pairs: Sequence[Pair]) -> Estimate | None:
    """Return baseline ÷ contender wall-clock of the jobs of the same seed, as they ran: mean and range."""
    return range_of_ratios((baseline.job_time_s, contender.job_time_s) for baseline, contender in pairs)


def time_to_score(
    metric: str, baseline: Jobs, contender: Jobs, job: JobSpeed | None, speed: SpeedEvidence | None, *, margin: float
) -> TimeToScore | None:
    """Return the time to the target over the seeds of both; None without the job's speed or its scores."""
    scaled = scale_job(baseline, contender, speed)
    targets = [
        (pair, final - margin)
        for pair in pair_by_seed(baseline, contender)
        if (final := last_score(pair[0], metric)) is not None
    ]
    if job is None or scaled is None or not targets:
        return None
    base, own, training_s, evaluation_s, _ = scaled
    loops = (
        (job.baseline_s, base.training_s, base.evaluation_s, base.evaluations),
        (job.contender_s, training_s, evaluation_s, own.evaluations),
    )
    epochs: list[tuple[int | None, ...]] = []
    times_s: list[float | None] = []
    for side, (job_s, train_s, evaluate_s, count) in enumerate(loops):
        start_s, epoch_s = job_s - train_s - evaluate_s, (train_s + evaluate_s) / count
        records = [(pair[side], target) for pair, target in targets]
        first = [
            next((epoch.epoch for epoch in record.epochs if epoch.scores.get(metric, -1.0) >= target), None)
            for record, target in records
        ]
        reached = [start_s + number * epoch_s for number in first if number is not None]
        epochs.append(tuple(first))
        times_s.append(fmean(reached) if len(reached) == len(first) else None)
    baseline_s, contender_s = times_s
    return TimeToScore(
        target=fmean(target for _, target in targets),
        baseline_epochs=epochs[0],
        contender_epochs=epochs[1],
        baseline_s=baseline_s,
        contender_s=contender_s,
        speedup=baseline_s / contender_s if baseline_s and contender_s else None,
    )
