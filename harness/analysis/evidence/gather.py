"""All the evidence on each contender of a run that ended a whole fine-tuning, the baseline's A/A included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from harness.analysis.evidence.audits import AuditEvidence, judge_audits
from harness.analysis.evidence.energy import EnergyEvidence, summarise_energy
from harness.analysis.evidence.expected import ExpectedJob, expect_jobs
from harness.analysis.evidence.job import JobSpeed, TimeToScore, compose_job, time_to_score
from harness.analysis.evidence.parts import Jobs, declared_phases, pair_by_seed
from harness.analysis.evidence.perturbation import Perturbation, judge_perturbation, loss_beyond_chance
from harness.analysis.evidence.quality import (
    Learning,
    QualityEvidence,
    assess_learning,
    assess_quality,
    compare_expected,
    measure_narrowing,
)
from harness.analysis.evidence.sameness import (
    Equivalence,
    FootprintDifference,
    compare_footprints,
    evaluates_alike,
    judge_equivalence,
)
from harness.analysis.evidence.sampling import SamplingSummary, summarise_sampling
from harness.analysis.evidence.speed import (
    NO_RESTARTS,
    NoiseFloor,
    Restarts,
    SpeedEvidence,
    Throughput,
    find_noise_floor,
    find_restarts,
    measure_throughput,
    summarise_restarts,
    summarise_speed,
)
from harness.analysis.evidence.startup import WarmUp, summarise_warm_up
from harness.analysis.evidence.trials import Trials
from harness.analysis.evidence.work import Work, compare_work
from harness.records.strategy import LOWER_PRECISION, SAME_MATH
from harness.records.trial import MemoryRecord, RunRecord
from harness.statistics.estimate import Estimate, mean_or_none
from harness.statistics.paired import Ratio


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was found out about one contender that ran; of the baseline: about itself, A/A."""

    seeds: tuple[int, ...] = ()
    """Of its whole fine-tunings that ended."""
    pairs: int = 0
    """How many of them have one of the baseline's with the same seed."""
    effects: tuple[str, ...] = ()
    """Of its strategies, part by part."""
    phases: tuple[str, ...] = ()
    """Outside training and evaluation: what it declares to change."""
    speed: SpeedEvidence | None = None
    """The timed segments against the live baseline."""
    job: JobSpeed | None = None
    warm_up: WarmUp | None = None
    time_to_score: TimeToScore | None = None
    expected: tuple[ExpectedJob, ...] = ()
    """Jobs of other lengths."""
    equivalence: Equivalence | None = None
    audits: AuditEvidence | None = None
    """None: nothing was audited."""
    perturbation: Perturbation | None = None
    """None: no gradient of an audited step was held against the scatter."""
    footprint: FootprintDifference | None = None
    quality: QualityEvidence | None = None
    quality_set_s: float | None = None
    """What the quality set took after each job, mean over the seeds; None where the validation set is it."""
    quality_narrowing: dict[str, float] = field(default_factory=dict)
    """Share by which it narrows the interval of each score, by metric."""
    expected_scores: dict[str, Estimate] = field(default_factory=dict)
    """What answers drawn from the model's distribution would score, minus the baseline's, in points, by metric."""
    energy: EnergyEvidence | None = None
    """Of training per epoch and token, from long segments beside the baseline."""
    throughput: Throughput | None = None
    memory: MemoryRecord | None = None
    """Highest peaks of any seed."""
    sampling: SamplingSummary | None = None
    compile_cache: Literal["cold", "warm"] | None = None
    """State of the compiler's caches before the first job; None when nothing was compiled."""

    @property
    def steps(self) -> Ratio | None:
        """The step speedup, from the timed segments."""
        return None if self.speed is None else self.speed.training

    def without_speed(self) -> Evidence:
        """Return it without any number that says how fast it is beside the baseline: those of spoilt blocks say
        nothing, and neither do jobs that ran one after the other.
        """
        return replace(
            self,
            speed=None if self.speed is None else replace(self.speed, training=None, evaluation=None),
            job=None,
            expected=(),
            warm_up=None if self.warm_up is None else self.warm_up.without_saving(),
            time_to_score=None,
            throughput=None,
        )

    @property
    def same_math(self) -> bool:
        """Whether every part claims to make the baseline's updates."""
        return set(self.effects) == {SAME_MATH}

    @property
    def lowers_precision(self) -> bool:
        """Whether it claims the baseline's updates up to the rounding of a lower precision."""
        return LOWER_PRECISION in self.effects and set(self.effects) <= {SAME_MATH, LOWER_PRECISION}

    @property
    def shown_same(self) -> bool:
        """Whether it claims the baseline's updates, the equivalence check proves some, and all audited ones agree.

        Where nothing was audited the check alone must do.
        """
        if self.lowers_precision:
            return self.rounds_within_noise
        proven = self.same_math and self.equivalence is not None and self.equivalence.proves
        return proven and (self.audits is None or self.audits.agree)

    @property
    def rounds_within_noise(self) -> bool:
        """Whether its rounding is shown to be small beside the noise of training, and costs no score beyond chance."""
        checked = self.equivalence is not None and self.equivalence.holds and self.audits is not None
        small = self.perturbation is not None and self.perturbation.holds
        return checked and small and bool(self.quality) and loss_beyond_chance(self.quality or {}) is None


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What all contenders of a run are held against."""

    run: RunRecord
    baseline: Trials
    floor: NoiseFloor | None
    """From A/A: the baseline against itself."""
    restarts: Restarts = NO_RESTARTS
    """Of the baseline: what the contenders' segments are held against."""
    learning: Learning | None
    """Whether the baseline learned."""
    dtype: str | None
    """Of the baseline's forward pass: it may be a stack that computes in a lower precision. None: not looked at."""
    audit_error: str | None = None
    """What the audits of a baseline without strategies found, in words: then they are wrong, not the baseline."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One contender that ran, with everything that its judgement may look at."""

    trials: Trials
    reference: Reference
    work: Work | None
    evidence: Evidence
    unreadable: tuple[str, ...] = ()
    """A line for each file that could not be read."""


def gather(contenders: Sequence[Trials], run: RunRecord) -> tuple[Reference, dict[str, Case]]:
    """Return what the contenders are held against, and the case of each with a whole job; the first is the baseline."""
    baseline = contenders[0]
    restarts = find_restarts([trials.timed for trials in contenders])
    reference = Reference(
        run=run,
        baseline=baseline,
        floor=find_noise_floor(restarts),
        restarts=restarts,
        learning=assess_learning(run, baseline.done),
        audit_error=_audit_error(baseline),
        dtype=None if baseline.equivalence is None else baseline.equivalence.dtype,
    )
    everyone = [job for trials in contenders for job in trials.timed_jobs]
    return reference, {trials.name: _open(trials, reference, everyone) for trials in contenders if trials.done}


def _audit_error(baseline: Trials) -> str | None:
    if baseline.strategies:
        return None
    found = judge_audits([trial.record for trial in baseline.everything], lowers_precision=False)
    return None if found is None else next(iter(found.problems), None)


def _open(trials: Trials, reference: Reference, everyone: Jobs) -> Case:
    baseline, jobs, check = reference.baseline, trials.jobs, trials.equivalence
    sampling, unreadable = summarise_sampling(trials.done)
    job = warm_up = time = footprint = quality = None
    before_s, own_s = baseline.timed_jobs, trials.timed_jobs
    if trials.is_baseline:
        speed = summarise_restarts(trials.timed, reference.restarts)
    else:
        before, after = baseline.footprint, trials.footprint
        footprint = None if before is None or after is None else compare_footprints(before, after)
        alike = before is not None and after is not None and evaluates_alike(before, after)
        speed = summarise_speed(trials.timed, reference.restarts, same_evaluation=alike)
        headline = reference.run.scoring.headline
        margin = reference.run.config.quality.margin_of(headline)
        job = compose_job(before_s, own_s, speed, reference.floor, everyone)
        steps = measure_throughput([step for trial in baseline.at_usual_speed for step in trial.steps])
        step_s = None if steps is None else steps.median_step_time_ms / 1000.0
        warm_up = summarise_warm_up(before_s, own_s, speed, step_s, everyone)
        time = time_to_score(headline, before_s, own_s, job, speed, margin=margin)
        quality = assess_quality(reference.run, baseline.done, trials.done)
    evidence = Evidence(
        seeds=tuple(job.seed for job in jobs),
        pairs=len(pair_by_seed(baseline.jobs, jobs)),
        effects=trials.effects,
        phases=tuple(sorted(declared_phases(jobs))),
        speed=speed,
        job=job,
        warm_up=warm_up,
        time_to_score=time,
        expected=expect_jobs(before_s, own_s, speed, job),
        equivalence=None
        if check is None
        else judge_equivalence(check, lowers_precision=LOWER_PRECISION in trials.effects),
        audits=_judge_audits(trials, reference),
        perturbation=_judge_perturbation(trials, reference),
        footprint=footprint,
        quality=quality,
        quality_set_s=mean_or_none(job.quality_set.time_s for job in jobs if job.quality_set is not None),
        quality_narrowing=measure_narrowing(baseline.done, trials.done, quality),
        expected_scores={} if trials.is_baseline else compare_expected(reference.run, baseline.done, trials.done),
        energy=summarise_energy(next((one.energy for one in trials.timed if one.energy is not None), None)),
        throughput=measure_throughput([step for trial in trials.at_usual_speed for step in trial.steps]),
        memory=_peak_memory(jobs),
        sampling=sampling,
        compile_cache=jobs[0].compile_cache,
    )
    work = compare_work([] if trials.is_baseline else baseline.done, trials.done, trials.effects)
    return Case(trials=trials, reference=reference, work=work, evidence=evidence, unreadable=tuple(unreadable))


def _judge_perturbation(trials: Trials, reference: Reference) -> Perturbation | None:
    """Return what the gradients of the jobs' audited steps say; a baseline that has not learned shows no loss."""
    audited = [job.audits.perturbation for job in trials.jobs if job.audits is not None]
    records = [record for record in audited if record is not None]
    steps = max((job.work.updates for job in trials.jobs if job.work is not None), default=0)
    found = judge_perturbation(
        records,
        steps=steps,
        share=reference.run.config.audits.share,
        lowers_precision=LOWER_PRECISION in trials.effects,
    )
    if found is None or (reference.learning is not None and not reference.learning.vacuous):
        return found
    return replace(found, holds=False)


def _judge_audits(trials: Trials, reference: Reference) -> AuditEvidence | None:
    """Return what the audits say; where the plain baseline's own disagree they say nothing of anybody."""
    lowers = LOWER_PRECISION in trials.effects
    found = judge_audits([trial.record for trial in trials.everything], lowers_precision=lowers)
    if found is None or trials.is_baseline or reference.audit_error is None:
        return found
    return replace(found, problems=(), unmade=f"the audits of the baseline itself disagree: {reference.audit_error}")


def _peak_memory(jobs: Jobs) -> MemoryRecord | None:
    records = [job.memory for job in jobs if job.memory is not None]
    if not records:
        return None
    return MemoryRecord(
        allocated_gib=max((r.allocated_gib for r in records if r.allocated_gib is not None), default=None),
        reserved_gib=max((r.reserved_gib for r in records if r.reserved_gib is not None), default=None),
        rss_gib=max(record.rss_gib for record in records),
    )
