"""A run from its configuration to its records: prepare, plan, run session after session, resume."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.config import RunConfig
from harness.errors import ConfigError
from harness.experiment.again import repeat_unusual_jobs
from harness.experiment.bench import CHECKS, COMPILE_CACHES, Bench
from harness.experiment.listener import Listener
from harness.experiment.plan import plan_sessions
from harness.experiment.prepare import measure_roof_of, prepare
from harness.records.files import default_cache_directory, write_json
from harness.records.store import RUN_FILE, read_record
from harness.records.trial import RunRecord

CIRCUMSTANCES: dict[str, Callable[[RunRecord], Any]] = {
    "training set": lambda run: run.data.get("train_sha256"),
    "validation set": lambda run: run.data.get("validation_sha256"),
    "form of the bundled weights": lambda run: run.data.get("model_weights"),
    "device": lambda run: run.environment.get("device_name"),
    "processor": lambda run: run.environment.get("cpu"),
    "number of PyTorch threads": lambda run: run.environment.get("torch_threads"),
    "version of PyTorch": lambda run: run.environment.get("packages", {}).get("torch"),
}
"""What all trials of a run must share beside its configuration; None for what is not recorded."""


def execute_run(
    config: RunConfig, directory: Path, *, cache_directory: Path | None, command: str, listener: Listener
) -> None:
    """Run the plan in `directory`. Trials that are done there already, by the same configuration, are kept.

    Raises HarnessError before anything is written if the configuration can't be run, and ConfigError if the directory
    holds another run, or one that began on other data, another machine or another PyTorch.
    """
    cache_directory = cache_directory or default_cache_directory()
    file = directory / RUN_FILE
    if file.exists():
        if read_record(file, RunRecord).config != config:
            raise ConfigError(
                f"{directory} holds a run with another configuration",
                remedy="choose another --name, or give the same options to resume it",
            )
    elif directory.exists() and any(directory.iterdir()):
        raise ConfigError(f"{directory} exists and is not a run directory", remedy="choose another --name")
    head, tokenizer = prepare(config, directory.name, command, cache_directory)
    sessions = plan_sessions(config)
    trials = [trial for session in sessions for trial in session.trials]
    if file.exists():
        check_same_circumstances(directory, read_record(file, RunRecord), head)
    else:
        folders = tuple(trial.folder for trial in trials)
        write_json(file, replace(head, trials=folders, roof=measure_roof_of(config, head.model_sizes)))
    # A run that was killed has left its own: compiled code would make a first compile a warm one.
    remove_temporary_folders(directory)
    try:
        with Bench(config, trials, directory, cache_directory, listener, tokenizer) as bench:
            for session in sessions:
                bench.run(session)
            repeat_unusual_jobs(bench, trials, directory)
    finally:
        remove_temporary_folders(directory)


def remove_temporary_folders(directory: Path) -> None:
    """Remove what only a run that goes on needs."""
    for folder in (COMPILE_CACHES, CHECKS):
        shutil.rmtree(directory / folder, ignore_errors=True)


def check_same_circumstances(directory: Path, begun: RunRecord, now: RunRecord) -> None:
    """ConfigError if the run began under other circumstances than today's: its trials could not be compared.

    What an earlier version did not record is not compared.
    """
    for what, recall in CIRCUMSTANCES.items():
        recorded, present = recall(begun), recall(now)
        if recorded is not None and recorded != present:
            raise ConfigError(
                f"{directory} holds a run that began with another {what} ({recorded}, now {present})",
                remedy="choose another --name",
            )


def new_run_directory(runs_directory: Path, stem: str) -> Path:
    """Return a directory that is not there yet, named by date and time."""
    first = runs_directory / f"{stem}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"
    others = (first.with_name(f"{first.name}-{number}") for number in itertools.count(2))
    return next(path for path in itertools.chain([first], others) if not path.exists())
