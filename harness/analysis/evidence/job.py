"""The speed of the whole job, put together from its phases and the ratios of the timed segments."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from scipy import stats

from harness.analysis.evidence.phases import changed_phases
from harness.analysis.evidence.speed import LEAST_FLOOR, NoiseFloor, SpeedEvidence
from harness.analysis.evidence.summary import Estimate, summarise_ratios
from harness.records.trial import TrialRecord
from harness.statistics.paired import Ratio

WARM_UP_PHASES = ("apply_strategies", "warm_up")
"""Phases of a job that a strategy makes longer once: what it builds, compiles, captures."""

WARM_UP_SCATTER = 0.1
"""Share by which a one-time cost is taken to differ from process to process (standard deviation): an assumption for
what a run measures once, such as a cold compile."""

SCATTER_DEGREES = 30.0
"""Degrees of freedom of that assumption; the interval is to be a little wider than a normal one."""

STALL = 1.25
"""A first epoch that takes this many times the longest of the later ones holds one-time work: what is compiled, chosen
or built at first use. Less may be noise."""

CONTRADICTION = 1.5
"""A contender whose jobs take this many times what its segments promise is not what was timed. Less may be drift."""

CONTRADICTION_SHARE = 0.1
"""Of the job; a smaller difference between jobs and segments does not matter."""

CONFIDENCE = 0.95

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


@dataclass(frozen=True, kw_only=True)
class JobSpeed:
    """The whole job's speedup, put together from its parts so that drift between jobs cancels."""

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
    as_run: Estimate | None
    """Ratio of the jobs' wall-clock as they ran, one after the other: mean and range over the seeds."""


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
        training_s=fmean(job.phases_s.get("training", 0.0) for job in whole),
        evaluation_s=fmean(job.phases_s.get("evaluation", 0.0) for job in whole),
        warm_up_s=fmean(once),
        warm_ups=len(once),
        stall_s=fmean(stall_s(job) for job in whole),
        windows=fmean(job.work.windows for job in whole if job.work is not None),
        evaluations=fmean(len(job.epochs) for job in whole),
        steps=fmean(job.work.updates for job in whole if job.work is not None),
    )


def warm_up_s(job: TrialRecord) -> float:
    """Return a job's one-time costs of the strategies."""
    return sum(job.phases_s.get(name, 0.0) for name in WARM_UP_PHASES)


def stall_s(job: TrialRecord) -> float:
    """Return what the first epoch took beyond the longest later one, in training and evaluation; 0 under `STALL`."""
    training_s = [epoch.train_time_s for epoch in job.epochs]
    evaluation_s = [epoch.evaluation_time_s for epoch in job.epochs]
    return sum(
        first - max(later) for first, *later in (training_s, evaluation_s) if later and first > STALL * max(later)
    )


def extra_stall_s(ours: Parts, theirs: Parts) -> float:
    """Return a contender's one-time work in the first epoch beyond the baseline's."""
    return max(0.0, theirs.stall_s - ours.stall_s)


def warm_up_noise(baseline: Sequence[TrialRecord], everyone: Sequence[TrialRecord]) -> tuple[float, float]:
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


def compose_job(
    baseline: Sequence[TrialRecord],
    contender: Sequence[TrialRecord],
    evidence: SpeedEvidence,
    floor: NoiseFloor,
    everyone: Sequence[TrialRecord],
    as_run: Estimate | None,
) -> JobSpeed | None:
    """Return the job's speedup with a 95 % interval; None if a part was not measured.

    Start-up, loading, tokenising, span search, scoring and saving are the harness's own code, the same for every
    contender: they count with the baseline's time, unless a strategy declares that it changes them
    (`changed_phases`). Training and evaluation are the baseline's divided by the ratios of the ABBA segments, per
    window. Warm-up is the contender's own, cold. The interval propagates the uncertainty of the segments, of the
    warm-up and of declared phases to first order, with Welch-Satterthwaite degrees of freedom (JCGM 100:2008, GUM,
    5.1.2 and G.4.1). `everyone` are all jobs of the run: how much they differ is the uncertainty of single times.
    """
    ours, theirs = job_parts(baseline), job_parts(contender)
    if ours is None or theirs is None or evidence.training is None or evidence.evaluation is None:
        return None
    training_s, evaluation_s = scaled_parts(ours, theirs, evidence.training, evidence.evaluation, evidence.same_samples)
    changes = changed_phases(baseline, contender, everyone)
    stalled_s = extra_stall_s(ours, theirs)
    rest_s = ours.job_s - ours.training_s - ours.evaluation_s - ours.warm_up_s
    rest_s += sum(change.difference_s for change in changes)
    job_s = rest_s + theirs.warm_up_s + stalled_s + training_s + evaluation_s
    noise_s, noise_degrees = warm_up_noise(baseline, everyone)
    scatter_s = WARM_UP_SCATTER * math.hypot(
        ours.warm_up_s / math.sqrt(ours.warm_ups), (theirs.warm_up_s + stalled_s) / math.sqrt(theirs.warm_ups)
    )
    parts = [
        (training_s / job_s * evidence.training.log_standard_error, evidence.training.degrees_of_freedom),
        (evaluation_s / job_s * evidence.evaluation.log_standard_error, evidence.evaluation.degrees_of_freedom),
        (math.sqrt(2.0) * noise_s / job_s, noise_degrees),
        (scatter_s / job_s, SCATTER_DEGREES),
        *((change.standard_error_s / job_s, change.degrees) for change in changes),
    ]
    promised_s = {"training": training_s + stalled_s, "evaluation": evaluation_s + stalled_s}
    taken_s = {"training": theirs.training_s, "evaluation": theirs.evaluation_s}
    return JobSpeed(
        ratio=combine(math.log(ours.job_s / job_s), parts, blocks=evidence.training.blocks),
        floor=max(LEAST_FLOOR, math.expm1(math.log1p(floor.floor) * (training_s + evaluation_s) / job_s)),
        baseline_s=ours.job_s,
        contender_s=job_s,
        stall_s=stalled_s,
        contradictions=tuple(find_contradictions(promised_s, taken_s, job_s)),
        phase_differences_s={change.phase: change.difference_s for change in changes},
        as_run=as_run,
    )


def find_contradictions(promised_s: Mapping[str, float], taken_s: Mapping[str, float], job_s: float) -> Iterator[str]:
    """Yield the parts of a job that took much longer than promised: what was timed is not what the jobs did."""
    for part, time_s in taken_s.items():
        if time_s > CONTRADICTION * promised_s[part] and time_s - promised_s[part] > CONTRADICTION_SHARE * job_s:
            yield f"{part} took {time_s:.1f} s in its jobs, where its segments promise {promised_s[part]:.1f} s"


def scaled_parts(
    ours: Parts, theirs: Parts, training: Ratio, evaluation: Ratio, same_samples: bool
) -> tuple[float, float]:
    """Return the contender's training and evaluation time: the baseline's, by the segments' ratios, per window."""
    evaluations = theirs.evaluations / ours.evaluations
    evaluation_s = ours.evaluation_s * evaluations / evaluation.estimate
    return scaled_training_s(ours, theirs, training, same_samples), evaluation_s


def scaled_training_s(ours: Parts, theirs: Parts, training: Ratio, same_samples: bool) -> float:
    """Return the contender's training time: the baseline's, by the segments' ratio, per window.

    A schedule that leaves windows out does so in its segments too; then their ratio already says it.
    """
    windows = theirs.windows / ours.windows if same_samples else 1.0
    return ours.training_s * windows / training.estimate


def combine(log_ratio: float, parts: Sequence[tuple[float, float]], *, blocks: int) -> Ratio:
    """Return a ratio whose log has independent errors with these (standard error, degrees of freedom)."""
    variance = sum(error**2 for error, _ in parts)
    weights = sum(error**4 / degrees for error, degrees in parts)
    degrees = variance**2 / weights if weights > 0 else max(degrees for _, degrees in parts)
    standard_error = math.sqrt(variance)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, degrees)) * standard_error
    return Ratio(
        estimate=math.exp(log_ratio),
        low=math.exp(log_ratio - half),
        high=math.exp(log_ratio + half),
        confidence=CONFIDENCE,
        log_standard_error=standard_error,
        degrees_of_freedom=degrees,
        blocks=blocks,
        autocorrelation=None,
    )


def summarise_warm_up(
    baseline: Sequence[TrialRecord], contender: Sequence[TrialRecord], evidence: SpeedEvidence | None
) -> WarmUp | None:
    """Return one-time costs and break-even; None without whole jobs of both."""
    ours, theirs = job_parts(baseline), job_parts(contender)
    if ours is None or theirs is None:
        return None
    compiles = any(job.compile_cache is not None for job in contender)
    warm_s = [warm_up_s(job) for job in contender if job.compile_cache == "warm"]
    saved_s = None
    if evidence is not None and evidence.training is not None:
        saved_s = ours.training_s / ours.steps * (1.0 - 1.0 / evidence.training.estimate)
    stalled_s = extra_stall_s(ours, theirs)
    steps = break_even(theirs.warm_up_s + stalled_s - ours.warm_up_s, saved_s)
    steps_per_epoch = ours.steps / ours.evaluations
    return WarmUp(
        baseline_s=ours.warm_up_s,
        cold_s=theirs.warm_up_s,
        warm_s=fmean(warm_s) if warm_s else None,
        compiles=compiles,
        stall_s=stalled_s,
        saved_per_step_s=saved_s,
        break_even_steps=steps,
        break_even_epochs=None if steps is None else steps / steps_per_epoch,
        break_even_steps_warm=break_even(fmean(warm_s) + stalled_s - ours.warm_up_s, saved_s) if warm_s else None,
    )


def break_even(extra_s: float, saved_per_step_s: float | None) -> float | None:
    """Return after how many steps of the baseline `extra_s` is earned back; None if it never is."""
    if saved_per_step_s is None:
        return None
    if extra_s <= 0:
        return 0.0
    return extra_s / saved_per_step_s if saved_per_step_s > 0 else None


def jobs_as_run(pairs: Sequence[tuple[TrialRecord, TrialRecord]]) -> Estimate | None:
    """Return baseline ÷ contender wall-clock of the jobs of the same seed, as they ran."""
    ratios = [
        ours.job_time_s / theirs.job_time_s
        for ours, theirs in pairs
        if ours.job_time_s and theirs.job_time_s and ours.job_time_s > 0 and theirs.job_time_s > 0
    ]
    return summarise_ratios(ratios)
