"""A run from its configuration to its records: prepare, plan, run trial after trial, resume."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from harness.config import RunConfig
from harness.errors import ConfigError
from harness.experiment.plan import PlannedTrial, plan_trials
from harness.experiment.prepare import prepare
from harness.experiment.process import run_in_process
from harness.records import RunRecord, TrialRecord, TrialSpec
from harness.storage import RUN_FILE, TRIAL_FILE, read_record, trial_is_finished, write_json


class Listener(Protocol):
    """Hears how a run goes on; the command line draws progress bars from it."""

    def trial_started(self, trial: PlannedTrial, number: int, total: int) -> None:
        """Trial `number` (from 1) of `total` begins."""

    def trial_progress(self, phase: str, done: int, total: int) -> None:
        """The running trial is so far."""

    def trial_ended(self, trial: PlannedTrial, record: TrialRecord, *, resumed: bool) -> None:
        """The trial is over; `resumed` means that it was done before."""


def execute_run(config: RunConfig, directory: Path, *, cache_directory: Path, command: str, listener: Listener) -> None:
    """Run the plan in `directory`. Trials that are done there already, by the same configuration, are kept.

    Raises HarnessError before anything is written if the configuration can't be run, and ConfigError if the directory
    holds another run.
    """
    check_same_run(directory, config)
    preparation = prepare(config, cache_directory)
    plan = plan_trials(config)
    if not (directory / RUN_FILE).exists():
        head = RunRecord(
            name=directory.name,
            started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            config=config,
            command=command,
            environment=preparation.environment,
            data=preparation.data,
            trials=tuple(trial.folder for trial in plan),
        )
        write_json(directory / RUN_FILE, head)
    compile_caches = directory / "compile-cache"
    try:
        for number, trial in enumerate(plan, start=1):
            listener.trial_started(trial, number, len(plan))
            record, resumed = _run_or_keep(config, directory, cache_directory, compile_caches, trial, listener)
            listener.trial_ended(trial, record, resumed=resumed)
    finally:
        shutil.rmtree(compile_caches, ignore_errors=True)


def check_same_run(directory: Path, config: RunConfig) -> None:
    """ConfigError if `directory` holds anything but a run of the same configuration."""
    if not directory.exists() or not any(directory.iterdir()):
        return
    if not (directory / RUN_FILE).exists():
        raise ConfigError(f"{directory} exists and is not a run directory", remedy="choose another --name")
    if read_record(directory / RUN_FILE, RunRecord).config != config:
        raise ConfigError(
            f"{directory} holds a run with another configuration",
            remedy="choose another --name, or give the same options to resume it",
        )


def _run_or_keep(
    config: RunConfig, directory: Path, cache: Path, compile_caches: Path, trial: PlannedTrial, listener: Listener
) -> tuple[TrialRecord, bool]:
    folder = directory / trial.folder
    if trial_is_finished(folder):
        return read_record(folder / TRIAL_FILE, TrialRecord), True
    first = _first_job(directory, trial)
    if first is not None and first.status != "done":
        # What could not run once is not run again with the next seed or under the profiler.
        record = replace(first, kind=trial.kind, seed=trial.seed)
        write_json(folder / TRIAL_FILE, record)
        return record, False
    spec = TrialSpec(
        contender=trial.contender,
        kind=trial.kind,
        seed=trial.seed,
        config=config,
        directory=str(folder.resolve()),
        cache_directory=str(cache.resolve()),
        compile_cache_directory=str((compile_caches / trial.contender).resolve()),
    )
    return run_in_process(spec, listener.trial_progress), False


def _first_job(directory: Path, trial: PlannedTrial) -> TrialRecord | None:
    """Return the contender's job with seed 0 if it has run and `trial` is a later one."""
    first = replace(trial, kind="job", seed=0)
    path = directory / first.folder / TRIAL_FILE
    return read_record(path, TrialRecord) if first != trial and path.exists() else None


def new_run_name(preset: str, exists: Callable[[str], bool]) -> str:
    """Return a name that is not taken: preset, date and time."""
    stem = f"{preset}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"
    name, number = stem, 2
    while exists(name):
        name, number = f"{stem}-{number}", number + 1
    return name
