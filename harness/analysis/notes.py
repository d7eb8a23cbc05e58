"""What speaks against the numbers: damaged records, a busy machine, a model that has not learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.analysis.evidence.gather import Case
from harness.analysis.evidence.machine import usual_speed_of
from harness.analysis.evidence.sampling import SamplingSummary
from harness.analysis.evidence.speed import NoiseFloor
from harness.analysis.evidence.trials import Trials
from harness.measurement.usual_speed import UsualSpeed, describe_unusual, unusual_speed
from harness.records.store import LoadedRun
from harness.records.trial import TrialRecord

HIGH_LOAD = 1.5
"""Load average per usable core above which the machine is called busy."""

SWAP_GROWTH_GIB = 0.05
"""Growth of the used swap during training that is worth a line."""

HIGH_FLOOR = 0.05
"""Noise floor that is worth a line: many single strategies gain less."""

THROTTLED_SHARE = 0.05
"""Share of samples with a throttle reason that is worth a line."""


def contender_notes(trials: Trials, case: Case | None, unreadable: Sequence[str], loaded: LoadedRun) -> list[str]:
    """Return what speaks against a contender's numbers; `unreadable` are lines on files of its trace."""
    notes = []
    planned = sum(folder.rsplit("/", 1)[1].isdigit() for folder in trials.planned)
    if trials.done and len(trials.done) < planned:
        notes.append(f"the numbers are of {len(trials.done)} of {planned} planned fine-tunings")
    usual = usual_speed_of([trial.record for trial in loaded.trials])
    notes += [note for job in trials.jobs if (note := _on_speed(job, usual, trials)) is not None]
    for trial in trials.everything:
        if trials.done and trial.record.kind == "profile" and trial.record.status != "done":
            notes.append(f"its profiled run did not end: {trial.record.reason}")
        elif trial.record.kind == "profile" and trial.record.profile is None and trial.record.reason is not None:
            notes.append(trial.record.reason)
    lost = [*(() if case is None else case.unreadable), *unreadable]
    notes += [f"left out: {relative(line, loaded)}" for line in lost]
    sampling, energy = (None, None) if case is None else (case.evidence.sampling, case.evidence.energy)
    notes += [] if energy is None else [f"on its energy: {note}" for note in energy.notes]
    problems = (timed.energy_problem for timed in trials.timed if timed.energy_problem is not None)
    notes += [f"its energy could not be measured: {problem}" for problem in dict.fromkeys(problems)]
    if sampling is None:
        return notes
    values = sampling.values
    swap_gib = values.get("max_swap_growth_gib")
    if swap_gib is not None and swap_gib > SWAP_GROWTH_GIB:
        notes.append(f"used swap grew by {swap_gib:.2f} GiB during training: memory was short")
    throttled = values.get("throttled_share")
    if throttled is not None and throttled > THROTTLED_SHARE:
        notes.append(f"the GPU was throttled in {throttled:.0%} of the samples")
    if values.get("max_other_processes"):
        notes.append("other processes used the GPU at the same time")
    if sampling.errors:
        notes.append(f"{sampling.errors} readings of the sampler failed")
    if sampling.energy_note and energy is None:
        notes.append(f"no energy is stated: {sampling.energy_note}")
    return notes


def _on_speed(job: TrialRecord, usual: UsualSpeed, trials: Trials) -> str | None:
    """Return what to know of what disturbed a job; None if nothing did at once."""
    which, now = f"its job with seed {job.seed}", _disturbance(job, usual)
    if now:
        twice = "" if job.superseded is None else ", also when it was measured again"
        so = "its scores count, its times don't" if job.seed in trials.untimed else "its times may be far off"
        return f"{now} during {which}{twice}: {so}"
    if job.superseded is None:
        return None
    return f"{which} was measured again: the first time {_disturbance(job.superseded, usual) or 'it was disturbed'}"


def _disturbance(job: TrialRecord, usual: UsualSpeed) -> str:
    """Return in words what disturbed a job; nothing if nothing did."""
    speed = unusual_speed(job.speedometer, usual)
    return "; ".join([*job.contamination, *([] if speed is None else [describe_unusual(speed)])])


def load_warning(samplings: Mapping[str, SamplingSummary | None], environment: Mapping[str, Any]) -> str | None:
    """Return a warning if something else kept the processor busy while contenders trained."""
    cores = environment.get("cpu_cores")
    if not isinstance(cores, int):
        return None
    loads = {name: sampling.values.get("max_load_average_1min") for name, sampling in samplings.items() if sampling}
    high = {name: load for name, load in loads.items() if load is not None and load > HIGH_LOAD * cores}
    if not high:
        return None
    who = "every contender" if len(high) == len(loads) else ", ".join(high)
    return (
        f"the machine was busy: during the training of {who} the load average reached {max(high.values()):.1f} on "
        f"{cores} cores. Something else was running, so the times and speedups may be far off"
    )


def run_notes(loaded: LoadedRun, floor: NoiseFloor | None) -> list[str]:
    """Return what else bears on the whole run."""
    notes = []
    if floor is not None and floor.share > HIGH_FLOOR:
        notes.append(
            f"the noise floor of a step is high: a step speedup under {100 * floor.share:.1f} % could not have been "
            "shown here. On a quieter machine it can"
        )
    if loaded.missing:
        count = f"{len(loaded.missing)} of {len(loaded.run.trials)} planned trials"
        notes.append(f"{count} have not been run; the same command goes on where it stopped")
    notes += [f"left out: {relative(line, loaded)}" for line in loaded.damaged]
    # Trials that saw different hardware or versions.
    seen: dict[str, dict[str, None]] = {}
    for environment in (trial.record.environment for trial in loaded.trials):
        packages = environment.get("packages") or {}
        torch = packages.get("torch") if isinstance(packages, dict) else None
        facts = {name: environment.get(name) for name in ("device_name", "torch_threads", "cpu_cores")}
        for name, value in {**facts, "torch": torch}.items():
            if value is not None:
                seen.setdefault(name.replace("_", " "), {})[str(value)] = None
    return notes + [
        f"the trials don't share one environment: {name} is {', '.join(values)}"
        for name, values in seen.items()
        if len(values) > 1
    ]


def relative(line: str, loaded: LoadedRun) -> str:
    """Return a message with paths relative to the run directory: a report may travel."""
    for directory in (loaded.directory.resolve(), loaded.directory):
        if directory.name:
            line = line.replace(f"{directory}/", "")
    return line
