"""A run from its configuration to its records: prepare, plan, run session after session, resume."""

from __future__ import annotations

import itertools
import shutil
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from harness import registry
from harness.config import RunConfig
from harness.errors import ConfigError
from harness.experiment.bench import CHECKS, COMPILE_CACHES, Bench
from harness.experiment.listener import Listener
from harness.experiment.plan import PlannedSession, PlannedTrial, plan_sessions
from harness.experiment.prepare import Preparation, prepare
from harness.experiment.roof import measure_roof_of
from harness.records.files import default_cache_directory, write_json
from harness.records.store import RUN_FILE, TRIAL_FILE, read_record, trial_is_finished
from harness.records.trial import RunRecord, TrialRecord
from harness.tasks import get_task


def execute_run(
    config: RunConfig, directory: Path, *, cache_directory: Path | None, command: str, listener: Listener
) -> None:
    """Run the plan in `directory`. Trials that are done there already, by the same configuration, are kept.

    Raises HarnessError before anything is written if the configuration can't be run, and ConfigError if the directory
    holds another run, or one that began on other data, another machine or another PyTorch.
    """
    cache_directory = cache_directory or default_cache_directory()
    check_same_run(directory, config)
    preparation = prepare(config, cache_directory)
    sessions = plan_sessions(config)
    if (directory / RUN_FILE).exists():
        check_same_circumstances(directory, read_record(directory / RUN_FILE, RunRecord), preparation)
    else:
        head = RunRecord(
            name=directory.name,
            started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            config=config,
            command=command,
            environment=preparation.environment,
            data=preparation.data,
            scoring=get_task(config.task).scoring,
            trials=tuple(trial.folder for session in sessions for trial in session.trials),
            roof=measure_roof_of(config, preparation.model_sizes),
            model_sizes=preparation.model_sizes,
            catalogue=registry.catalogue(),
        )
        write_json(directory / RUN_FILE, head)
    # A run that was killed has left its own: compiled code would make a first compile a warm one.
    remove_temporary_folders(directory)
    try:
        with Bench(config, directory, cache_directory, listener, preparation.tokenizer) as running:
            run_sessions(running, directory, sessions, listener)
    finally:
        remove_temporary_folders(directory)


def remove_temporary_folders(directory: Path) -> None:
    """Remove what only a run that goes on needs."""
    for folder in (COMPILE_CACHES, CHECKS):
        shutil.rmtree(directory / folder, ignore_errors=True)


def run_sessions(running: Bench, directory: Path, sessions: list[PlannedSession], listener: Listener) -> None:
    """Run what is not done yet, session by session."""
    trials = [trial for session in sessions for trial in session.trials]

    def announce(trial: PlannedTrial) -> None:
        listener.trial_started(trial, 1 + trials.index(trial), len(trials))

    for session in sessions:
        pending = []
        for trial in session.trials:
            if trial_is_finished(directory / trial.folder):
                announce(trial)
                record = read_record(directory / trial.folder / TRIAL_FILE, TrialRecord)
                listener.trial_ended(trial, record, resumed=True)
            else:
                pending.append(trial)
        if pending:
            running.run(session, pending, announce)


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


def check_same_circumstances(directory: Path, head: RunRecord, preparation: Preparation) -> None:
    """ConfigError if the run began under other circumstances than today's: its trials could not be compared.

    What an earlier version did not record is not compared.
    """
    present = circumstances(preparation.data, preparation.environment)
    for what, recorded in circumstances(head.data, head.environment).items():
        if recorded is not None and recorded != present[what]:
            raise ConfigError(
                f"{directory} holds a run that began with another {what} ({recorded}, now {present[what]})",
                remedy="choose another --name",
            )


def circumstances(data: dict[str, Any], environment: dict[str, Any]) -> dict[str, Any]:
    """Return what all trials of a run must share beside its configuration; None for what is not recorded."""
    return {
        "training set": data.get("train_sha256"),
        "validation set": data.get("validation_sha256"),
        "form of the bundled weights": data.get("model_weights"),
        "device": environment.get("device_name"),
        "processor": environment.get("cpu"),
        "number of PyTorch threads": environment.get("torch_threads"),
        "version of PyTorch": environment.get("packages", {}).get("torch"),
    }


def new_run_directory(runs_directory: Path, stem: str) -> Path:
    """Return a directory that is not there yet, named by date and time."""
    first = runs_directory / f"{stem}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"
    others = (first.with_name(f"{first.name}-{number}") for number in itertools.count(2))
    return next(path for path in itertools.chain([first], others) if not path.exists())
