"""From the records of a run to its analysis: one pure function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.analysis import notes as notes_about
from harness.analysis.bootstrap import difference_interval
from harness.analysis.kernels import ProfileSummary, summarise_profile
from harness.analysis.model import (
    Analysis,
    ContenderAnalysis,
    EpochRow,
    RunSummary,
    Spread,
    State,
    Verdict,
)
from harness.analysis.sampling import summarise_sampling
from harness.analysis.statistics import (
    Estimate,
    Throughput,
    compare_quality,
    job_speedup,
    mean_or_none,
    measure_throughput,
    pair_by_seed,
    step_speedup,
)
from harness.analysis.work import compare_work
from harness.config import to_dict
from harness.records import BASELINE, MemoryRecord, StrategyRecord, TrialRecord
from harness.storage import LoadedRun, LoadedTrial


@dataclass(frozen=True, kw_only=True)
class _Trials:
    """The trials of one contender, sorted out."""

    name: str
    folders: list[str]
    """Planned trials, whole or not."""
    everything: list[LoadedTrial]
    done: list[LoadedTrial]
    """Whole fine-tunings, by seed."""

    @property
    def jobs(self) -> list[TrialRecord]:
        return [trial.record for trial in self.done]


def analyse(loaded: LoadedRun) -> Analysis:
    """Return what the records of a run say. Damaged or missing trials are named and left out, never guessed."""
    names = list(dict.fromkeys([BASELINE, *(_contender_of(folder) for folder in loaded.run.trials)]))
    contenders = [_sort_out(loaded, name) for name in names]
    reference = contenders[0].done
    baseline = contenders[0].jobs
    untrained = next((job.untrained for job in baseline if job.untrained is not None), None)
    environment = (baseline[0].environment if baseline else None) or loaded.run.environment
    analysed = tuple(_analyse_contender(trials, reference, environment, loaded) for trials in contenders)
    samplings = {contender.name: contender.sampling for contender in analysed}
    warnings = notes_about.run_warnings(untrained, baseline, samplings, environment)
    return Analysis(
        run=_summarise_run(loaded),
        contenders=analysed,
        spread=Spread(seeds=len(baseline)),
        untrained=untrained,
        environment=environment,
        warnings=tuple(_sentence(warning) for warning in warnings),
        notes=tuple(_sentence(note) for note in notes_about.run_notes(loaded)),
    )


def _contender_of(folder: str) -> str:
    """`trials/<contender>/<k>` is where a trial lies."""
    return folder.split("/")[1]


def _sort_out(loaded: LoadedRun, name: str) -> _Trials:
    trials = [trial for trial in loaded.trials if trial.record.contender == name]
    done = [trial for trial in trials if trial.record.kind == "job" and trial.record.status == "done"]
    return _Trials(
        name=name,
        folders=[folder for folder in loaded.run.trials if _contender_of(folder) == name],
        everything=trials,
        done=sorted(done, key=lambda trial: trial.record.seed),
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
    trials: _Trials, reference: Sequence[LoadedTrial], environment: dict[str, Any], loaded: LoadedRun
) -> ContenderAnalysis:
    jobs, is_baseline = trials.jobs, trials.name == BASELINE
    baseline = [trial.record for trial in reference]
    pairs = pair_by_seed(baseline, jobs)
    itself = Estimate(estimate=1.0) if is_baseline and jobs else None
    state, verdict, reasons = _judge(trials)
    strategies = next((trial.record.strategies for trial in trials.everything if trial.record.strategies), ())
    throughput = measure_throughput([step for trial in trials.done for step in trial.steps])
    sampling, problems = summarise_sampling(trials.done)
    memory = _peak_memory(jobs)
    notes = _notes(trials) + [f"left out: {notes_about.relative(line, loaded)}" for line in problems]
    return ContenderAnalysis(
        name=trials.name,
        parts=() if is_baseline else tuple(trials.name.split("+")),
        strategies=strategies,
        state=state,
        verdict=verdict,
        reasons=tuple(reasons),
        seeds=tuple(job.seed for job in jobs),
        job_time_s=mean_or_none(job.job_time_s for job in jobs),
        train_time_s=mean_or_none(sum(epoch.train_time_s for epoch in job.epochs) for job in jobs if job.epochs),
        job_speedup=itself or job_speedup(pairs),
        step_speedup=itself or step_speedup(pairs),
        em=compare_quality("em", baseline, jobs, difference_interval("em", reference, trials.done)),
        f1=compare_quality("f1", baseline, jobs, difference_interval("f1", reference, trials.done)),
        peak_memory_gib=None if memory is None else _headline_memory(memory),
        memory=memory,
        energy_j=None if sampling is None else sampling.energy_j,
        work=compare_work([job.work for job in jobs if job.work is not None], pairs, _effects(strategies)),
        phases_s=_mean_phases(jobs),
        epochs=tuple(_mean_epochs(jobs)),
        throughput=throughput,
        sampling=sampling,
        profile=_profile(trials, throughput),
        compile_cache=next((job.compile_cache for job in jobs), None),
        knobs=dict(jobs[0].knobs) if jobs else {},
        notes=tuple(_sentence(note) for note in notes + notes_about.contender_notes(sampling)),
    )


def _effects(strategies: Sequence[StrategyRecord]) -> list[str]:
    return [strategy.effect for strategy in strategies]


def _judge(trials: _Trials) -> tuple[State, Verdict | None, list[str]]:
    """Return state, verdict and reasons. One failed job fails the contender: what crashes sometimes can't be kept."""
    jobs = [trial.record for trial in trials.everything if trial.record.kind == "job"]
    failed = [job for job in jobs if job.status == "failed"]
    refused = [job for job in jobs if job.status == "not_applicable"]
    if failed:
        return "failed", "FAILED", _reasons(failed)
    if refused:
        return "not_applicable", "NOT_APPLICABLE", _reasons(refused)
    if not trials.done:
        return "not_run", None, ["no whole fine-tuning of it has been run"]
    return "measured", None, []


def _reasons(records: Sequence[TrialRecord]) -> list[str]:
    return list(dict.fromkeys(record.reason or "no reason was recorded" for record in records))


def _notes(trials: _Trials) -> list[str]:
    notes = []
    planned = sum(not folder.endswith("/profile") for folder in trials.folders)
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
                em=mean_or_none(epoch.em for epoch in same),
                f1=mean_or_none(epoch.f1 for epoch in same),
                evaluation_time_s=mean_or_none(epoch.evaluation_time_s for epoch in same),
            )
        )
    return rows


def _profile(trials: _Trials, throughput: Throughput | None) -> ProfileSummary | None:
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
