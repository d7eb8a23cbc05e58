"""From the records of a run to its analysis: one pure function."""

from __future__ import annotations

from dataclasses import asdict, replace

from harness.analysis import notes as notes_about
from harness.analysis.advice.gathering import facts_of_run
from harness.analysis.advice.predictions import diagnose
from harness.analysis.advice.roofline import build_roofline
from harness.analysis.evidence.gather import Case, Evidence, gather
from harness.analysis.evidence.machine import summarise_machine
from harness.analysis.evidence.overhead import measure_overhead
from harness.analysis.evidence.parts import Jobs
from harness.analysis.evidence.quality import compare_scores
from harness.analysis.evidence.trials import Trials, find_state, sort_out
from harness.analysis.model import Analysis, ContenderAnalysis, EpochRow, RunSummary
from harness.analysis.trace.kernels import summarise_profile
from harness.analysis.trace.ledgers import find_profile, read_ledger, usual_step
from harness.analysis.trace.model import Ledger
from harness.analysis.trace.waterfall import make_waterfall
from harness.analysis.verdict.reason import Reason, Verdict
from harness.analysis.verdict.rules import Judgement, judge_all
from harness.records.store import LoadedRun
from harness.records.trial import BASELINE, Settings
from harness.statistics.estimate import Estimate, mean_or_none

VERDICT_OF: dict[str, Verdict] = {
    "failed": "FAILED", "not_applicable": "NOT_APPLICABLE", "not_run": "NOT_MEASURED"
}  # fmt: skip
"""Verdicts that need no statistics, by state."""


def analyse(loaded: LoadedRun) -> Analysis:
    """Return what the records of a run say. Damaged or missing trials are named and left out, never guessed."""
    contenders = list(sort_out(loaded).values())
    baseline = contenders[0]
    untrained = next((job.untrained for job in baseline.jobs if job.untrained is not None), None)
    environment = (baseline.jobs[0].environment if baseline.done else None) or loaded.run.environment
    # How the GPU is set up is asked once a run: a job would have to wait for the answer.
    environment = {**environment, "gpu_settings": loaded.run.environment.get("gpu_settings")}
    reference, cases = gather(contenders, loaded.run)
    judged = {name: case for name, case in cases.items() if name != BASELINE}
    judgements = judge_all(judged, alpha=loaded.run.config.quality.alpha)
    unmeasured = {name for name, judgement in judgements.items() if judgement.verdict == "NOT_MEASURED"}
    first, *others = (
        _analyse_contender(trials, baseline, cases.get(trials.name), judgements.get(trials.name), loaded)
        for trials in contenders
    )
    others = [one if one.name in unmeasured else _with_waterfall(one, first.ledger) for one in others]
    samplings = {name: case.evidence.sampling for name, case in cases.items()}
    missing = None if baseline.done else "there is no whole baseline job, so there are no speedups and no differences"
    if baseline.done and not baseline.at_usual_speed:
        missing = "the machine was busy, or ran at another speed, in every baseline job, so no job is held against it"
    learned = None if reference.learning is None else reference.learning.reason
    warnings = (missing, notes_about.load_warning(samplings, environment), learned)
    return Analysis(
        run=_summarise_run(loaded),
        contenders=(first, *others),
        seeds=len(baseline.done),
        scoring=loaded.run.scoring,
        untrained=untrained,
        learning=reference.learning,
        noise_floor=reference.floor,
        diagnosis=diagnose(facts_of_run(loaded, [first, *others], environment), others),
        roofline=build_roofline(loaded.run, {name: case for name, case in cases.items() if name not in unmeasured}),
        machine=summarise_machine([trial.record for trial in loaded.trials]),
        overhead=measure_overhead([job for trials in contenders for job in trials.jobs]),
        environment=environment,
        warnings=tuple(map(_sentence, filter(None, warnings))),
        notes=tuple(map(_sentence, notes_about.run_notes(loaded, reference.floor))),
    )


def _summarise_run(loaded: LoadedRun) -> RunSummary:
    run = loaded.run
    return RunSummary(
        name=run.name,
        started=run.started,
        command=run.command,
        earlier_commands=run.earlier_commands,
        config=asdict(run.config),
        data=run.data,
        trials_planned=len(run.trials),
        trials_missing=tuple(loaded.missing),
        trials_damaged=tuple(notes_about.relative(line, loaded) for line in loaded.damaged),
    )


def _analyse_contender(
    trials: Trials, baseline: Trials, case: Case | None, judgement: Judgement | None, loaded: LoadedRun
) -> ContenderAnalysis:
    jobs, timed = trials.jobs, trials.timed_jobs
    found = Evidence() if case is None else case.evidence
    state, why = find_state(trials)
    verdict, reasons = VERDICT_OF.get(state), tuple(Reason(rule=state, text=text, numbers={}) for text in why)
    if judgement is not None and state == "measured":
        verdict, reasons = judgement.verdict, judgement.reasons
        if verdict == "NOT_MEASURED":
            found = found.without_speed()
    else:
        judgement = None
    steps = None if trials.is_baseline else found.steps
    usual = usual_step(trials.at_usual_speed, baseline.at_usual_speed, None if steps is None else steps.estimate)
    ledger, unreadable = read_ledger(trials.everything, usual, loaded.run.config.profile)
    profiled, memory = find_profile(trials.everything), found.memory
    step_ms = None if found.throughput is None else found.throughput.median_step_time_ms
    job_speedup, step_speedup = _speedups(trials, found)
    return ContenderAnalysis(
        name=trials.name,
        parts=() if trials.is_baseline else tuple(trials.name.split("+")),
        strategies=trials.strategies,
        state=state,
        verdict=verdict,
        speed=None if judgement is None else judgement.speed,
        quality=None if judgement is None else judgement.quality,
        reasons=reasons,
        job_time_s=mean_or_none(job.job_time_s for job in timed),
        train_time_s=mean_or_none(job.phases_s.get("training") for job in timed if job.epochs),
        job_speedup=job_speedup,
        step_speedup=step_speedup,
        scores=compare_scores(loaded.run.scoring, baseline.jobs, jobs, found.quality),
        peak_memory_gib=None
        if memory is None
        else (memory.rss_gib if memory.allocated_gib is None else memory.allocated_gib),
        energy_j=None if found.sampling is None else found.sampling.energy_j,
        work=None if case is None else case.work,
        phases_s=_mean_phases(timed),
        epochs=tuple(_mean_epochs(jobs, timed)),
        knobs=dict(jobs[0].knobs) if jobs else {},
        settings=jobs[0].settings if jobs else Settings(),
        evidence=None if case is None else found,
        profile=None if profiled is None else summarise_profile(*profiled, unprofiled_step_time_ms=step_ms),
        ledger=ledger,
        notes=tuple(map(_sentence, notes_about.contender_notes(trials, case, unreadable, loaded))),
    )


def _with_waterfall(contender: ContenderAnalysis, baseline: Ledger | None) -> ContenderAnalysis:
    footprint = None if contender.evidence is None else contender.evidence.footprint
    same_ground = footprint is not None and footprint.same_ground
    found = make_waterfall(baseline, contender.ledger, same_ground=same_ground)
    return replace(contender, no_waterfall=found) if isinstance(found, str) else replace(contender, waterfall=found)


def _speedups(trials: Trials, found: Evidence) -> tuple[Estimate | None, Estimate | None]:
    """Return job and step speedup, from timed segments alone: jobs as they ran hold the machine's drift."""
    if trials.is_baseline:
        return (Estimate(estimate=1.0),) * 2 if trials.done else (None, None)
    return (
        None if found.job is None else found.job.ratio.interval,
        None if found.steps is None else found.steps.interval,
    )


def _mean_phases(jobs: Jobs) -> dict[str, float]:
    """Return each phase's mean over the seeds; a phase that a seed did not have took no time there."""
    names = list(dict.fromkeys(name for job in jobs for name in job.phases_s if name != "other"))
    names += ["other"] if any("other" in job.phases_s for job in jobs) else []
    means = {name: mean_or_none(job.phases_s.get(name, 0.0) for job in jobs) for name in names}
    return {name: mean_s for name, mean_s in means.items() if mean_s is not None}


def _mean_epochs(jobs: Jobs, timed: Jobs) -> list[EpochRow]:
    """Return the rows: scores over all `jobs`, times over those whose times count."""
    rows = []
    for number in sorted({epoch.epoch for job in jobs for epoch in job.epochs}):
        same, clean = ([epoch for job in of for epoch in job.epochs if epoch.epoch == number] for of in (jobs, timed))
        rows.append(
            EpochRow(
                epoch=number,
                train_time_s=mean_or_none(epoch.train_time_s for epoch in clean),
                train_loss=mean_or_none(epoch.train_loss for epoch in same),
                scores={
                    name: mean
                    for name in dict.fromkeys(name for epoch in same for name in epoch.scores)
                    if (mean := mean_or_none(epoch.scores.get(name) for epoch in same)) is not None
                },
                evaluation_time_s=mean_or_none(epoch.evaluation_time_s for epoch in clean),
            )
        )
    return rows


def _sentence(note: str) -> str:
    return note[:1].upper() + note[1:]
