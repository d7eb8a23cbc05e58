"""From the trials of a run to the evidence on each contender."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.evidence.job import WarmUp, compose_job, jobs_as_run, summarise_warm_up
from harness.analysis.evidence.phases import declared_phases
from harness.analysis.evidence.quality import Learning, assess_learning, assess_quality
from harness.analysis.evidence.sameness import (
    Equivalence,
    FootprintDifference,
    compare_footprints,
    evaluation_problem,
    judge_equivalence,
)
from harness.analysis.evidence.speed import NoiseFloor, find_noise_floor, summarise_speed
from harness.analysis.evidence.summary import pair_by_seed
from harness.analysis.evidence.time_to_quality import time_to_score
from harness.analysis.evidence.work import NEW_SCHEDULE, LoadedPair, Work, compare_work
from harness.analysis.model import State
from harness.analysis.verdict.claims import LOWER_PRECISION, Evidence
from harness.analysis.verdict.rules import Verdict
from harness.records.checks import FootprintRecord, SpeedRecord
from harness.records.store import LoadedRun, LoadedTrial
from harness.records.trial import BASELINE, RunRecord, StrategyRecord, TrialRecord

CLOCK_ERROR_S = 0.1
"""Difference between a worker's clock and the parent's over a job that may be the pipe's."""

CLOCK_ERROR_SHARE = 0.01


@dataclass(frozen=True, kw_only=True)
class Trials:
    """The trials of one contender, sorted out."""

    name: str
    folders: list[str]
    """Planned trials, whole or not."""
    everything: list[LoadedTrial]
    done: list[LoadedTrial]
    """Whole fine-tunings, by seed."""

    @property
    def jobs(self) -> list[TrialRecord]:
        """Records of the whole fine-tunings."""
        return [trial.record for trial in self.done]

    @property
    def strategies(self) -> tuple[StrategyRecord, ...]:
        """Its parts, as the first trial that knows them says."""
        return next((trial.record.strategies for trial in self.everything if trial.record.strategies), ())

    @property
    def beside(self) -> TrialRecord | None:
        """The trial beside the live baseline."""
        records = (trial.record for trial in self.everything if trial.record.kind == "speed")
        return next((record for record in records if record.status == "done"), None)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was found out about one contender."""

    evidence: Evidence
    work: Work | None
    warm_up: WarmUp | None


def contender_of(folder: str) -> str:
    """`trials/<contender>/<k>` is where a trial lies."""
    return folder.split("/")[1]


def sort_out(loaded: LoadedRun, name: str) -> Trials:
    """Return the trials of one contender."""
    trials = [trial for trial in loaded.trials if trial.record.contender == name]
    done = [trial for trial in trials if trial.record.kind == "job" and trial.record.status == "done"]
    return Trials(
        name=name,
        folders=[folder for folder in loaded.run.trials if contender_of(folder) == name],
        everything=trials,
        done=sorted(done, key=lambda trial: trial.record.seed),
    )


def find_state(trials: Trials) -> tuple[State, Verdict | None, list[str]]:
    """Return state, verdict and reasons as far as they need no statistics.

    One trial that failed fails the contender (but for the profiled one): what crashes sometimes can't be kept.
    """
    records = [trial.record for trial in trials.everything if trial.record.kind != "profile"]
    failed = [record for record in records if record.status == "failed"]
    refused = [record for record in records if record.status == "not_applicable"]
    if failed:
        return "failed", "FAILED", _reasons(failed)
    if refused:
        return "not_applicable", "NOT_APPLICABLE", _reasons(refused)
    if not trials.done:
        return "not_run", None, ["no whole fine-tuning of it has been run"]
    return "measured", None, []


def _reasons(records: Sequence[TrialRecord]) -> list[str]:
    return list(dict.fromkeys(record.reason or "no reason was recorded" for record in records))


def gather_evidence(
    contenders: Sequence[Trials], run: RunRecord
) -> tuple[dict[str, Measured], NoiseFloor | None, Learning | None]:
    """Return the evidence on each contender with a whole job, the noise floor, and whether the baseline learned.

    The first contender is the baseline; its evidence is A/A.
    """
    baseline = contenders[0]
    learning = assess_learning(run, baseline.done)
    beside = baseline.beside
    floor = find_noise_floor(None if beside is None or beside.speed is None else summarise_speed(beside.speed))
    context = _Context(
        baseline=baseline,
        run=run,
        floor=floor,
        learning=learning,
        footprint=None if beside is None else beside.footprint,
        baseline_dtype=None if beside is None or beside.equivalence is None else beside.equivalence.dtype,
        everyone=[job for trials in contenders for job in trials.jobs],
    )
    found = {trials.name: _measure(trials, context) for trials in contenders if trials.done}
    return found, floor, learning


@dataclass(frozen=True, kw_only=True)
class _Context:
    """What all contenders are held against."""

    baseline: Trials
    run: RunRecord
    floor: NoiseFloor | None
    learning: Learning | None
    footprint: FootprintRecord | None
    baseline_dtype: str | None
    """Of the baseline's forward pass: it may be a stack that computes in a lower precision."""
    everyone: list[TrialRecord]
    """All jobs of the run."""


def _measure(trials: Trials, context: _Context) -> Measured:
    baseline, jobs, beside = context.baseline, trials.jobs, trials.beside
    is_baseline, headline = trials.name == BASELINE, context.run.scoring.headline
    pairs = pair_by_seed(baseline.jobs, jobs)
    speed = None if beside is None or beside.speed is None else summarise_speed(beside.speed)
    job = None
    if speed is not None and context.floor is not None and not is_baseline:
        job = compose_job(baseline.jobs, jobs, speed, context.floor, context.everyone, jobs_as_run(pairs))
    effects = tuple(strategy.effect for strategy in trials.strategies)
    work = compare_work(trials.done, [] if is_baseline else _loaded_pairs(baseline, trials), effects)
    footprint = None if beside is None else beside.footprint
    evidence = Evidence(
        effects=effects,
        fraud=() if is_baseline else _find_fraud(trials, work, beside),
        speed=speed,
        job=job,
        floor=context.floor,
        time_to_score=None
        if is_baseline
        else time_to_score(
            headline, baseline.jobs, jobs, job, speed, margin=context.run.config.quality.margin_of(headline)
        ),
        equivalence=_judge_equivalence(beside, effects),
        footprint=None if is_baseline else _compare_footprints(context.footprint, footprint),
        quality=None if is_baseline else assess_quality(context.run, baseline.done, trials.done),
        learning=context.learning,
        scoring=context.run.scoring,
        seeds=len(pairs),
        baseline_dtype=context.baseline_dtype,
        unchecked=_unchecked(jobs, beside),
        phases=tuple(sorted(declared_phases(jobs))),
    )
    warm_up = None if is_baseline else summarise_warm_up(baseline.jobs, jobs, speed)
    return Measured(evidence=evidence, work=work, warm_up=warm_up)


def _judge_equivalence(beside: TrialRecord | None, effects: Sequence[str]) -> Equivalence | None:
    if beside is None or beside.equivalence is None:
        return None
    return judge_equivalence(beside.equivalence, lowers_precision=LOWER_PRECISION in effects)


def _compare_footprints(
    baseline: FootprintRecord | None, contender: FootprintRecord | None
) -> FootprintDifference | None:
    return None if baseline is None or contender is None else compare_footprints(baseline, contender)


def _loaded_pairs(baseline: Trials, trials: Trials) -> list[LoadedPair]:
    partners = {trial.record.seed: trial for trial in trials.done}
    return [(ours, partners[ours.record.seed]) for ours in baseline.done if ours.record.seed in partners]


def _find_fraud(trials: Trials, work: Work | None, beside: TrialRecord | None) -> tuple[str, ...]:
    """Return what disqualifies a contender, each thing once."""
    found = [] if work is None else [f"unequal work: {difference}" for difference in work.differences]
    for job in trials.jobs:
        if job.evaluation_check is not None:
            found.append(evaluation_problem(job.evaluation_check) or "")
        found.append(_clock_problem(job))
    announced = any(strategy.effect == NEW_SCHEDULE for strategy in trials.strategies)
    if beside is not None and beside.speed is not None and not announced:
        found.append(segment_problem(beside.speed))
    return tuple(dict.fromkeys(text for text in found if text))


def _unchecked(jobs: Sequence[TrialRecord], beside: TrialRecord | None) -> tuple[str, ...]:
    """Return which checks could not be made, each thing once."""
    problems = [job.evaluation_check.problem for job in jobs if job.evaluation_check is not None]
    found = [f"its scores could not be checked: {problem}" for problem in problems if problem is not None]
    if beside is not None and beside.equivalence is not None and beside.equivalence.unmade is not None:
        found.append(f"its updates could not be checked: {beside.equivalence.unmade}")
    return tuple(dict.fromkeys(found))


def _clock_problem(job: TrialRecord) -> str:
    if job.clock_error_s is None or job.job_time_s is None:
        return ""
    if abs(job.clock_error_s) <= CLOCK_ERROR_S + CLOCK_ERROR_SHARE * job.job_time_s:
        return ""
    return (
        f"the clock in its process runs wrong: over a job of {job.job_time_s:.1f} s by its own account it was off by "
        f"{job.clock_error_s:+.1f} s"
    )


def segment_problem(record: SpeedRecord) -> str:
    """Return in words how the work in the timed segments differed; "" if it did not."""
    for block in record.blocks:
        for name, (ours, theirs) in block.work.items():
            if ours != theirs:
                return (
                    f"unequal work in the timed segments: {name.replace('_', ' ')} {theirs:,}, the baseline's {ours:,}"
                )
    return ""
