"""How fast the whole job is, and when as good: put together from its phases and the ratios of the timed segments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median
from typing import Literal, NamedTuple

from scipy import stats

from harness.analysis.evidence.parts import (
    Jobs,
    Pair,
    Parts,
    changed_phases,
    job_parts,
    last_score,
    pair_by_seed,
    warm_up_s,
)
from harness.analysis.evidence.speed import LEAST_FLOOR, NoiseFloor, SpeedEvidence
from harness.statistics.estimate import Estimate, mean_or_none, range_of_ratios
from harness.statistics.paired import Ratio, combine

WARM_UP_SCATTER = 0.1
"""Share by which a one-time cost is taken to differ from process to process (standard deviation): an assumption for
what a run measures once, such as a cold compile."""

SCATTER_DEGREES = 30.0
"""Degrees of freedom of that assumption; the interval is to be a little wider than a normal one."""

CONTRADICTION = 1.5
"""A contender whose jobs take this many times what its segments promise is not what was timed. Less may be drift."""

CONTRADICTION_SHARE = 0.1
"""Of the job; a smaller difference between jobs and segments does not matter."""

MAD_EFFICIENCY = 0.37
"""Of the median absolute deviation as an estimate of normal spread."""


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
    """(cold + stall − baseline) ÷ saved per step; None if nothing is saved. 0 if nothing has to be earned back."""
    break_even_epochs: float | None
    break_even_steps_warm: float | None

    def without_saving(self) -> WarmUp:
        """Return what was paid, and not what it saved."""
        return replace(
            self, saved_per_step_s=None, break_even_steps=None, break_even_epochs=None, break_even_steps_warm=None
        )


@dataclass(frozen=True, kw_only=True)
class Term:
    """One part of the uncertainty of a job's speedup."""

    part: str
    """In words: "training", "evaluation", "start-up", a declared phase, …"""
    log_standard_error: float
    """What it adds to the standard error of the log of the speedup, in squares."""
    degrees_of_freedom: float
    samples: int
    """Blocks or jobs that it is known from."""
    settled_by: Literal["budget", "seeds", None]
    """What makes it smaller: more timed blocks, more jobs; None: nothing that a run can measure more of."""


@dataclass(frozen=True, kw_only=True)
class JobSpeed:
    """The whole job's speedup, put together from its parts so that drift between jobs cancels.

    Start-up, loading, tokenising, span search, scoring and saving are the harness's own code, the same for every
    contender: they count with the baseline's time, unless a strategy declares that it changes them
    (`changed_phases`). Training and evaluation are the baseline's divided by the ratios of the ABBA segments, per
    window. Warm-up is the contender's own, cold. The interval propagates the uncertainty of the segments, of the
    warm-up and of declared phases to first order, with Welch-Satterthwaite degrees of freedom (JCGM 100:2008, GUM,
    5.1.2 and G.4.1). How much all jobs of the run differ is the uncertainty of single times.
    """

    ratio: Ratio
    floor: float
    """The noise floor, weighed with the share of the job that the segments stand for; no less than `LEAST_FLOOR`."""
    baseline_s: float
    """Mean job of the baseline; with a cold compile where it compiles."""
    contender_s: float
    """The same job with the contender's warm-up, and with training and evaluation at the measured ratios."""
    stall_s: float = 0.0
    """One-time work in the first epoch beyond the baseline's, in `contender_s`."""
    contradictions: tuple[str, ...] = ()
    """Parts that took much longer in the contender's jobs than its segments promise, in words."""
    phase_differences_s: dict[str, float] = field(default_factory=dict)
    """Contender − baseline of the phases that count with the contender's own time; "moved" are all others."""
    terms: tuple[Term, ...] = ()
    """What the interval is made of, largest first."""
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


def warm_up_noise(baseline: Jobs, everyone: Jobs) -> tuple[float, float]:
    """Return standard deviation and degrees of freedom of the warm-up of all jobs of a run that compile nothing.

    From the median absolute deviation, as some strategies really change their warm-up (four times the batch, a library
    to build), which is no noise of the others. Its efficiency is 37 % of the standard deviation's, so its degrees of
    freedom are as many fewer (Huber 1981, "Robust Statistics", 5.1). The baseline changes nothing, so its own distance
    from the median is noise, whatever it is: as the first process of a run it may find cold caches. (0, 1) with fewer
    than two jobs.
    """
    values_s = [warm_up_s(job) for job in everyone if job.compile_cache is None]
    if len(values_s) < 2:
        return 0.0, 1.0
    spread_s = float(stats.median_abs_deviation(values_s, scale="normal"))
    deviation_s = max(spread_s, abs(fmean(map(warm_up_s, baseline)) - median(values_s)))
    return deviation_s, max(1.0, MAD_EFFICIENCY * (len(values_s) - 1))


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
    """Return the job's speedup with a 95 % interval; None if a part was not measured. `everyone`: see `JobSpeed`."""
    scaled = scale_job(baseline, contender, speed)
    if scaled is None or floor is None or speed is None or speed.training is None or speed.evaluation is None:
        return None
    base, own, training_s, evaluation_s, stall_s = scaled
    changes = changed_phases(baseline, contender, everyone)
    rest_s = base.job_s - base.training_s - base.evaluation_s - base.warm_up_s
    rest_s += sum(change.difference_s for change in changes)
    job_s = rest_s + own.warm_up_s + stall_s + training_s + evaluation_s
    noise_s, noise_degrees = warm_up_noise(baseline, everyone)
    scatter_s = WARM_UP_SCATTER * math.hypot(
        base.warm_up_s / math.sqrt(base.warm_ups), (own.warm_up_s + stall_s) / math.sqrt(own.warm_ups)
    )
    terms = _terms_of(
        speed.training,
        speed.evaluation,
        shares=(training_s / job_s, evaluation_s / job_s),
        warm_up=(math.sqrt(2.0) * noise_s / job_s, noise_degrees, sum(job.compile_cache is None for job in everyone)),
        once=(scatter_s / job_s, own.warm_ups),
        phases=[(c.phase, c.standard_error_s / job_s, c.degrees) for c in changes],
    )
    errors = [(term.log_standard_error, term.degrees_of_freedom) for term in terms]
    parts = (("training", own.training_s, training_s), ("evaluation", own.evaluation_s, evaluation_s))
    taken_s = [(part, taken_s, scaled_s + stall_s) for part, taken_s, scaled_s in parts]
    return JobSpeed(
        ratio=combine(math.log(base.job_s / job_s), errors, blocks=speed.training.blocks),
        floor=max(LEAST_FLOOR, math.expm1(math.log1p(floor.share) * ((training_s + evaluation_s) / job_s))),
        baseline_s=base.job_s,
        contender_s=job_s,
        stall_s=stall_s,
        contradictions=tuple(
            f"{part} took {time_s:.1f} s in its jobs, where its segments promise {promised_s:.1f} s"
            for part, time_s, promised_s in taken_s
            if time_s > CONTRADICTION * promised_s and time_s - promised_s > CONTRADICTION_SHARE * job_s
        ),
        phase_differences_s={change.phase: change.difference_s for change in changes},
        terms=terms,
        as_run=jobs_as_run(pair_by_seed(baseline, contender)),
    )


def _terms_of(
    training: Ratio,
    evaluation: Ratio,
    *,
    shares: tuple[float, float],
    warm_up: tuple[float, float, int],
    once: tuple[float, int],
    phases: Sequence[tuple[str, float, float]],
) -> tuple[Term, ...]:
    """Return what the interval is made of, largest first."""
    timed = [("training", training, shares[0]), ("evaluation", evaluation, shares[1])]
    terms = [
        *(
            Term(part=part, log_standard_error=share * ratio.log_standard_error,
                 degrees_of_freedom=ratio.degrees_of_freedom, samples=ratio.blocks, settled_by="budget")
            for part, ratio, share in timed
        ),
        Term(part="start-up", log_standard_error=warm_up[0], degrees_of_freedom=warm_up[1], samples=warm_up[2],
             settled_by="seeds"),
        Term(part="one-time costs", log_standard_error=once[0], degrees_of_freedom=SCATTER_DEGREES, samples=once[1],
             settled_by="seeds"),
        *(
            Term(part=phase, log_standard_error=error, degrees_of_freedom=degrees, samples=int(degrees) + 1,
                 settled_by="seeds")
            for phase, error, degrees in phases
        ),
    ]  # fmt: skip
    return tuple(sorted(terms, key=lambda term: -term.log_standard_error))


def jobs_as_run(pairs: Sequence[Pair]) -> Estimate | None:
    """Return baseline ÷ contender wall-clock of the jobs of the same seed, as they ran: mean and range."""
    return range_of_ratios((baseline.job_time_s, contender.job_time_s) for baseline, contender in pairs)


def summarise_warm_up(
    baseline: Jobs, contender: Jobs, speed: SpeedEvidence | None, step_s: float | None
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
    steps = break_even(own.warm_up_s + stall_s - base.warm_up_s, saved_s)
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
