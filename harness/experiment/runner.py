"""A run from its configuration to its records: prepare, plan, run session after session, resume."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from harness import registry
from harness.config import RunConfig
from harness.errors import ConfigError
from harness.experiment import bench
from harness.experiment.bench import CHECKS, COMPILE_CACHES, Bench
from harness.experiment.plan import PlannedSession, PlannedTrial, plan_sessions
from harness.experiment.prepare import Preparation, prepare
from harness.experiment.roof import measure_roof_apart
from harness.measurement.roof import RoofSpec
from harness.records.checks import RoofRecord
from harness.records.store import RUN_FILE, TRIAL_FILE, read_record, trial_is_finished, write_json
from harness.records.trial import RunRecord, TrialRecord
from harness.tasks.question_answering import SCORING


class Listener(bench.Listener, Protocol):
    """Hears how a run goes on; the command line draws progress bars from it."""

    def trial_started(self, trial: PlannedTrial, number: int, total: int) -> None:
        """Trial `number` (from 1) of `total` begins."""


def execute_run(config: RunConfig, directory: Path, *, cache_directory: Path, command: str, listener: Listener) -> None:
    """Run the plan in `directory`. Trials that are done there already, by the same configuration, are kept.

    Raises HarnessError before anything is written if the configuration can't be run, and ConfigError if the directory
    holds another run, or one that began on other data, another machine or another PyTorch.
    """
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
            scoring=SCORING,
            trials=tuple(trial.folder for session in sessions for trial in session.trials),
            roof=measure_roof_of(config, preparation),
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


def measure_roof_of(config: RunConfig, preparation: Preparation) -> RoofRecord | None:
    """Return the machine's roof for products of the model's shapes; None if it is not wanted or they aren't known."""
    sizes = preparation.model_sizes
    if not config.roof or not sizes:
        return None
    return measure_roof_apart(
        RoofSpec(device=config.device, hidden_size=sizes["hidden_size"], intermediate_size=sizes["intermediate_size"])
    )


def run_sessions(running: Bench, directory: Path, sessions: list[PlannedSession], listener: Listener) -> None:
    """Run what is not done yet, session by session."""
    total = sum(len(session.trials) for session in sessions)
    number = 0
    for session in sessions:
        numbers = {trial: number + i for i, trial in enumerate(session.trials, start=1)}
        number += len(session.trials)
        pending = []
        for trial in session.trials:
            if trial_is_finished(directory / trial.folder):
                listener.trial_started(trial, numbers[trial], total)
                listener.trial_ended(
                    trial, read_record(directory / trial.folder / TRIAL_FILE, TrialRecord), resumed=True
                )
            else:
                pending.append(trial)
        if pending:
            running.run(session, pending, partial(_announce, listener, numbers, total))


def _announce(listener: Listener, numbers: dict[PlannedTrial, int], total: int, trial: PlannedTrial) -> None:
    listener.trial_started(trial, numbers[trial], total)


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


def new_run_name(preset: str, exists: Callable[[str], bool]) -> str:
    """Return a name that is not taken: preset, date and time."""
    stem = f"{preset}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"
    name, number = stem, 2
    while exists(name):
        name, number = f"{stem}-{number}", number + 1
    return name
