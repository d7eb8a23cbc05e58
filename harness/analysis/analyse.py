"""From the records of a run to its analysis: one pure function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.analysis import notes as notes_about
from harness.analysis.advice.gathering import facts_of_run
from harness.analysis.advice.predictions import diagnose
from harness.analysis.advice.roofline import Trained, build_roofline
from harness.analysis.evidence.energy import summarise_energy
from harness.analysis.evidence.sampling import summarise_sampling
from harness.analysis.evidence.summary import (
    Difference,
    Estimate,
    Throughput,
    compare_quality,
    job_speedup,
    mean_or_none,
    measure_throughput,
    pair_by_seed,
    step_speedup,
)
from harness.analysis.evidence.trials import Measured, Trials, contender_of, find_state, gather_evidence, sort_out
from harness.analysis.model import Analysis, ContenderAnalysis, EpochRow, RunSummary
from harness.analysis.trace.kernels import ProfileSummary, summarise_profile
from harness.analysis.trace.ledgers import read_ledger, usual_step, with_waterfalls
from harness.analysis.verdict.claims import Evidence
from harness.analysis.verdict.rules import Judgement, judge_all
from harness.config import to_dict
from harness.records.store import LoadedRun, LoadedTrial
from harness.records.trial import BASELINE, MemoryRecord, ScoringRecord, Settings, TrialRecord
from harness.statistics.paired import Ratio


def analyse(loaded: LoadedRun) -> Analysis:
    """Return what the records of a run say. Damaged or missing trials are named and left out, never guessed."""
    names = list(dict.fromkeys([BASELINE, *(contender_of(folder) for folder in loaded.run.trials)]))
    contenders = [sort_out(loaded, name) for name in names]
    baseline = contenders[0].jobs
    untrained = next((job.untrained for job in baseline if job.untrained is not None), None)
    environment = (baseline[0].environment if baseline else None) or loaded.run.environment
    # How the GPU is set up is asked once a run: a job would have to wait for the answer.
    environment = {**environment, "gpu_settings": loaded.run.environment.get("gpu_settings")}
    measured, floor, learning = gather_evidence(contenders, loaded.run)
    candidates = {name: item.evidence for name, item in measured.items() if name != BASELINE}
    judgements = judge_all(candidates, alpha=loaded.run.config.quality.alpha)
    analysed = with_waterfalls(
        [
            _analyse_contender(
                trials, contenders[0].done, measured.get(trials.name), judgements.get(trials.name), loaded
            )
            for trials in contenders
        ]
    )
    samplings = {contender.name: contender.sampling for contender in analysed}
    warnings = notes_about.run_warnings(learning, baseline, samplings, environment)
    return Analysis(
        run=_summarise_run(loaded),
        contenders=analysed,
        seeds=len(baseline),
        scoring=loaded.run.scoring,
        untrained=untrained,
        learning=learning,
        noise_floor=floor,
        diagnosis=diagnose(facts_of_run(loaded, analysed, environment), analysed[1:]),
        roofline=build_roofline(loaded.run, [_trained(trials, measured) for trials in contenders if trials.done]),
        environment=environment,
        warnings=tuple(_sentence(warning) for warning in warnings),
        notes=tuple(_sentence(note) for note in notes_about.run_notes(loaded, floor)),
    )


def _trained(trials: Trials, measured: Mapping[str, Measured]) -> Trained:
    evidence = measured[trials.name].evidence
    as_run_s = mean_or_none(job.job_time_s for job in trials.jobs)
    return Trained(
        name=trials.name,
        jobs=trials.jobs,
        speed=evidence.speed,
        job_s=as_run_s if evidence.job is None else evidence.job.contender_s,
    )


def _summarise_run(loaded: LoadedRun) -> RunSummary:
    run = loaded.run
    return RunSummary(
        name=run.name,
        started=run.started,
        command=run.command,
        config=to_dict(run.config),
        data=run.data,
        trials_planned=len(run.trials),
        trials_missing=tuple(loaded.missing),
        trials_damaged=tuple(notes_about.relative(line, loaded) for line in loaded.damaged),
    )


def _analyse_contender(
    trials: Trials,
    reference: Sequence[LoadedTrial],
    measured: Measured | None,
    judgement: Judgement | None,
    loaded: LoadedRun,
) -> ContenderAnalysis:
    jobs, is_baseline = trials.jobs, trials.name == BASELINE
    state, verdict, reasons = find_state(trials)
    if judgement is not None and state == "measured":
        verdict, reasons = judgement.verdict, list(judgement.reasons)
    throughput = measure_throughput([step for trial in trials.done for step in trial.steps])
    sampling, problems = summarise_sampling(trials.done)
    memory = _peak_memory(jobs)
    evidence = None if measured is None else measured.evidence
    usual = usual_step(trials.done, reference, None if evidence is None or is_baseline else evidence.speed)
    ledger, unreadable = read_ledger(trials.everything, usual, loaded.run.config.profile)
    notes = _notes(trials) + [f"left out: {notes_about.relative(line, loaded)}" for line in [*problems, *unreadable]]
    beside = trials.beside
    speed = None if beside is None else beside.speed
    energy = None if speed is None else summarise_energy(speed.energy)
    energy_problem = None if speed is None else speed.energy_problem
    return ContenderAnalysis(
        name=trials.name,
        parts=() if is_baseline else tuple(trials.name.split("+")),
        strategies=trials.strategies,
        state=state,
        verdict=verdict,
        reasons=tuple(reasons),
        seeds=tuple(job.seed for job in jobs),
        job_time_s=mean_or_none(job.job_time_s for job in jobs),
        train_time_s=mean_or_none(sum(epoch.train_time_s for epoch in job.epochs) for job in jobs if job.epochs),
        job_speedup=_job_speedup(reference, trials, evidence),
        step_speedup=_step_speedup(reference, trials, evidence),
        scores=_scores(loaded.run.scoring, reference, trials.done, evidence),
        speed=None if evidence is None else evidence.speed,
        job=None if evidence is None else evidence.job,
        warm_up=None if measured is None else measured.warm_up,
        time_to_score=None if evidence is None else evidence.time_to_score,
        quality=None if evidence is None else evidence.quality,
        equivalence=None if evidence is None else evidence.equivalence,
        footprint=None if evidence is None else evidence.footprint,
        peak_memory_gib=None if memory is None else _headline_memory(memory),
        memory=memory,
        energy_j=None if sampling is None else sampling.energy_j,
        energy=energy,
        work=None if measured is None else measured.work,
        phases_s=_mean_phases(jobs),
        epochs=tuple(_mean_epochs(jobs)),
        throughput=throughput,
        sampling=sampling,
        profile=_profile(trials, throughput),
        ledger=ledger,
        waterfall=None,
        compile_cache=next((job.compile_cache for job in jobs), None),
        knobs=dict(jobs[0].knobs) if jobs else {},
        settings=jobs[0].settings if jobs else Settings(),
        notes=tuple(_sentence(note) for note in notes + notes_about.contender_notes(sampling, energy, energy_problem)),
    )


def _job_speedup(reference: Sequence[LoadedTrial], trials: Trials, evidence: Evidence | None) -> Estimate | None:
    if trials.name == BASELINE:
        return Estimate(estimate=1.0) if trials.done else None
    if evidence is not None and evidence.job is not None:
        return as_estimate(evidence.job.ratio)
    return job_speedup(pair_by_seed([trial.record for trial in reference], trials.jobs))


def _step_speedup(reference: Sequence[LoadedTrial], trials: Trials, evidence: Evidence | None) -> Estimate | None:
    if trials.name == BASELINE:
        return Estimate(estimate=1.0) if trials.done else None
    if reference and evidence is not None and evidence.speed is not None and evidence.speed.training is not None:
        return as_estimate(evidence.speed.training)
    return step_speedup(pair_by_seed([trial.record for trial in reference], trials.jobs))


def as_estimate(ratio: Ratio) -> Estimate:
    """Return a ratio with its interval as the tables show it."""
    return Estimate(estimate=ratio.estimate, low=ratio.low, high=ratio.high, kind="interval")


def _scores(
    scoring: ScoringRecord, reference: Sequence[LoadedTrial], done: Sequence[LoadedTrial], evidence: Evidence | None
) -> dict[str, Difference]:
    """Return each score beside the baseline's, with the interval of the non-inferiority test."""
    baseline, contender = [trial.record for trial in reference], [trial.record for trial in done]
    quality = (evidence.quality if evidence is not None else None) or {}
    found = {}
    for name in (metric.name for metric in scoring.metrics):
        interval = (quality[name].low, quality[name].high) if name in quality else None
        difference = compare_quality(name, baseline, contender, interval)
        if difference is not None:
            found[name] = difference
    return found


def _notes(trials: Trials) -> list[str]:
    notes = []
    planned = sum(folder.rsplit("/", 1)[1].isdigit() for folder in trials.folders)
    if trials.done and len(trials.done) < planned:
        notes.append(f"the numbers are of {len(trials.done)} of {planned} planned fine-tunings")
    for trial in trials.everything:
        record = trial.record
        if trials.done and record.kind == "profile" and record.status != "done":
            notes.append(f"its profiled run did not end: {record.reason}")
    return notes


def _peak_memory(jobs: Sequence[TrialRecord]) -> MemoryRecord | None:
    """Return the highest peaks of any seed."""
    records = [job.memory for job in jobs if job.memory is not None]
    if not records:
        return None
    return MemoryRecord(
        allocated_gib=max((r.allocated_gib for r in records if r.allocated_gib is not None), default=None),
        reserved_gib=max((r.reserved_gib for r in records if r.reserved_gib is not None), default=None),
        rss_gib=max(record.rss_gib for record in records),
    )


def _headline_memory(memory: MemoryRecord) -> float:
    return memory.rss_gib if memory.allocated_gib is None else memory.allocated_gib


def _mean_phases(jobs: Sequence[TrialRecord]) -> dict[str, float]:
    """Return each phase's mean over the seeds; a phase that a seed did not have took no time there."""
    names = list(dict.fromkeys(name for job in jobs for name in job.phases_s if name != "other"))
    names += ["other"] if any("other" in job.phases_s for job in jobs) else []
    means = {name: mean_or_none(job.phases_s.get(name, 0.0) for job in jobs) for name in names}
    return {name: mean_s for name, mean_s in means.items() if mean_s is not None}


def _mean_epochs(jobs: Sequence[TrialRecord]) -> list[EpochRow]:
    rows = []
    for number in sorted({epoch.epoch for job in jobs for epoch in job.epochs}):
        same = [epoch for job in jobs for epoch in job.epochs if epoch.epoch == number]
        rows.append(
            EpochRow(
                epoch=number,
                train_time_s=mean_or_none(epoch.train_time_s for epoch in same),
                train_loss=mean_or_none(epoch.train_loss for epoch in same),
                scores={
                    name: mean
                    for name in dict.fromkeys(name for epoch in same for name in epoch.scores)
                    if (mean := mean_or_none(epoch.scores.get(name) for epoch in same)) is not None
                },
                evaluation_time_s=mean_or_none(epoch.evaluation_time_s for epoch in same),
            )
        )
    return rows


def _profile(trials: Trials, throughput: Throughput | None) -> ProfileSummary | None:
    for trial in trials.everything:
        if trial.record.kind == "profile" and trial.record.profile is not None:
            return summarise_profile(
                trial.record.profile,
                trial_folder=f"trials/{trials.name}/{trial.directory.name}",
                unprofiled_step_time_ms=None if throughput is None else throughput.median_step_time_ms,
            )
    return None


def _sentence(note: str) -> str:
    return note[:1].upper() + note[1:]
