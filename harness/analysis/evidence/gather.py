"""All the evidence on each contender of a run that ended a whole fine-tuning, the baseline's A/A included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.analysis.evidence.energy import EnergyEvidence, summarise_energy
from harness.analysis.evidence.expected import ExpectedJob, expect_jobs
from harness.analysis.evidence.job import JobSpeed, TimeToScore, WarmUp, compose_job, summarise_warm_up, time_to_score
from harness.analysis.evidence.parts import Jobs, declared_phases, pair_by_seed
from harness.analysis.evidence.quality import (
    Learning,
    QualityEvidence,
    assess_learning,
    assess_quality,
)
from harness.analysis.evidence.sameness import (
    Equivalence,
    FootprintDifference,
    compare_footprints,
    judge_equivalence,
)
from harness.analysis.evidence.sampling import SamplingSummary, summarise_sampling
from harness.analysis.evidence.speed import (
    NoiseFloor,
    SpeedEvidence,
    Throughput,
    find_noise_floor,
    measure_throughput,
    summarise_speed,
)
from harness.analysis.evidence.trials import Trials
from harness.analysis.evidence.work import Work, compare_work
from harness.records.strategy import LOWER_PRECISION, SAME_MATH
from harness.records.trial import MemoryRecord, RunRecord
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
    footprint: FootprintDifference | None = None
    quality: QualityEvidence | None = None
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
        """Whether it claims the baseline's updates and the equivalence check proves them."""
        return self.same_math and self.equivalence is not None and self.equivalence.proves


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What all contenders of a run are held against."""

    run: RunRecord
    baseline: Trials
    floor: NoiseFloor | None
    """From A/A: the baseline against itself."""
    learning: Learning | None
    """Whether the baseline learned."""
    dtype: str | None
    """Of the baseline's forward pass: it may be a stack that computes in a lower precision. None: not looked at."""


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
    beside = baseline.beside
    reference = Reference(
        run=run,
        baseline=baseline,
        floor=find_noise_floor(summarise_speed(baseline.timed)),
        learning=assess_learning(run, baseline.done),
        dtype=None if beside is None or beside.equivalence is None else beside.equivalence.dtype,
    )
    everyone = [job for trials in contenders for job in trials.jobs]
    return reference, {trials.name: _open(trials, reference, everyone) for trials in contenders if trials.done}


def _open(trials: Trials, reference: Reference, everyone: Jobs) -> Case:
    baseline, jobs, beside = reference.baseline, trials.jobs, trials.beside
    speed = summarise_speed(trials.timed)
    check = None if beside is None else beside.equivalence
    sampling, unreadable = summarise_sampling(trials.done)
    job = warm_up = time = footprint = quality = None
    if not trials.is_baseline:
        headline = reference.run.scoring.headline
        margin = reference.run.config.quality.margin_of(headline)
        job = compose_job(baseline.jobs, jobs, speed, reference.floor, everyone)
        steps = measure_throughput([step for trial in baseline.done for step in trial.steps])
        step_s = None if steps is None else steps.median_step_time_ms / 1000.0
        warm_up = summarise_warm_up(baseline.jobs, jobs, speed, step_s)
        time = time_to_score(headline, baseline.jobs, jobs, job, speed, margin=margin)
        before, after = (None if b is None else b.footprint for b in (baseline.beside, beside))
        footprint = None if before is None or after is None else compare_footprints(before, after)
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
        expected=expect_jobs(baseline.jobs, jobs, speed, job),
        equivalence=None
        if check is None
        else judge_equivalence(check, lowers_precision=LOWER_PRECISION in trials.effects),
        footprint=footprint,
        quality=quality,
        energy=None if trials.timed is None else summarise_energy(trials.timed.energy),
        throughput=measure_throughput([step for trial in trials.done for step in trial.steps]),
        memory=_peak_memory(jobs),
        sampling=sampling,
        compile_cache=jobs[0].compile_cache,
    )
    work = compare_work([] if trials.is_baseline else baseline.done, trials.done, trials.effects)
    return Case(trials=trials, reference=reference, work=work, evidence=evidence, unreadable=tuple(unreadable))


def _peak_memory(jobs: Jobs) -> MemoryRecord | None:
    records = [job.memory for job in jobs if job.memory is not None]
    if not records:
        return None
    return MemoryRecord(
        allocated_gib=max((r.allocated_gib for r in records if r.allocated_gib is not None), default=None),
        reserved_gib=max((r.reserved_gib for r in records if r.reserved_gib is not None), default=None),
        rss_gib=max(record.rss_gib for record in records),
    )
