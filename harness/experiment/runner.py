"""A run from its configuration to its records: prepare, plan, run session after session, resume."""

from __future__ import annotations

import itertools
import math
import shutil
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from harness import registry
from harness.config import RunConfig
from harness.errors import ConfigError
from harness.experiment.bench import CHECKS, COMPILE_CACHES, Bench
from harness.experiment.inputs import Inputs, hash_windows, length_sums, load_inputs, load_tokenised
from harness.experiment.listener import Listener
from harness.experiment.plan import PlannedSession, PlannedTrial, order_contenders, plan_sessions
from harness.experiment.roof import measure_roof_of
from harness.measurement.environment import choose_device, describe_environment, describe_gpu_settings
from harness.measurement.profiling import check_schedule
from harness.records.store import (
    RUN_FILE,
    TRIAL_FILE,
    default_cache_directory,
    read_record,
    trial_is_finished,
    write_json,
)
from harness.records.trial import RunRecord, TokenizerFacts, TrialRecord
from harness.tasks import get_task
from harness.training.model import check_length, describe_tokenizer, load_model_config, quieten_transformers
from harness.training.model_files import check_model_files
from harness.training.sizes import model_sizes


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
    if file.exists():
        check_same_circumstances(directory, read_record(file, RunRecord), head)
    else:
        trials = tuple(trial.folder for session in sessions for trial in session.trials)
        write_json(file, replace(head, trials=trials, roof=measure_roof_of(config, head.model_sizes)))
    # A run that was killed has left its own: compiled code would make a first compile a warm one.
    remove_temporary_folders(directory)
    try:
        with Bench(config, directory, cache_directory, listener, tokenizer) as running:
            run_sessions(running, directory, sessions, listener)
    finally:
        remove_temporary_folders(directory)


def prepare(config: RunConfig, name: str, command: str, cache_directory: Path) -> tuple[RunRecord, TokenizerFacts]:
    """Check device, strategies, model and data, and tokenise once for all trials.

    Returns the head of the run's record, still without its trials and the machine's roof. Every mistake that the user
    can make is a HarnessError from here.
    """
    quieten_transformers()
    device = choose_device(config.device)
    registry.load_all(config.plugins)
    order_contenders(config.contenders)
    registry.resolve(config.baseline)
    weights = check_model_files(config.model)
    model_config = load_model_config(config.model)
    check_length(model_config, config.data.max_length)
    task = get_task(config.task)
    train, validation = load_inputs(config)
    inputs = load_tokenised(config, train, validation, cache_directory)
    steps = math.ceil(len(inputs.train_windows) / config.training.batch_size) * config.training.epochs
    check_schedule(config.profile, steps)
    head = RunRecord(
        name=name,
        started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        config=config,
        command=command,
        environment={**describe_environment(device), "gpu_settings": describe_gpu_settings(device)},
        data=summarise_inputs(config, train, inputs) | {"model_weights": weights},
        scoring=task.scoring,
        trials=(),
        model_sizes=model_sizes(
            model_config, head_parameters=lambda hidden: task.head_parameters(hidden, inputs.head.classes)
        ),
        catalogue=registry.catalogue(),
    )
    return head, inputs.tokenizer


def summarise_inputs(config: RunConfig, train: list[Any], inputs: Inputs) -> dict[str, Any]:
    """Return the data's counts for the run's record."""
    lengths = inputs.train_windows.lengths
    return {
        "source": config.data.source,
        "train_questions": len(train),
        "validation_questions": len(inputs.validation),
        "train_windows": len(inputs.train_windows),
        "validation_windows": len(inputs.validation_windows),
        **{f"train_{name}": value for name, value in length_sums(lengths).items()},
        **{f"validation_{name}": value for name, value in length_sums(inputs.validation_windows.lengths).items()},
        "mean_useful_tokens": round(float(lengths.mean()), 1),
        "max_useful_tokens": int(lengths.max()),
        "padding_share": round(1.0 - float(lengths.sum()) / (len(lengths) * config.data.max_length), 4),
        "tokenizer": describe_tokenizer(config.model),
        "windows_from_cache": inputs.from_cache,
        "train_sha256": hash_windows(inputs.train_windows),
        "validation_sha256": hash_windows(inputs.validation_windows),
    }


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


def check_same_circumstances(directory: Path, begun: RunRecord, now: RunRecord) -> None:
    """ConfigError if the run began under other circumstances than today's: its trials could not be compared.

    What an earlier version did not record is not compared.
    """
    present = circumstances(now)
    for what, recorded in circumstances(begun).items():
        if recorded is not None and recorded != present[what]:
            raise ConfigError(
                f"{directory} holds a run that began with another {what} ({recorded}, now {present[what]})",
                remedy="choose another --name",
            )


def circumstances(run: RunRecord) -> dict[str, Any]:
    """Return what all trials of a run must share beside its configuration; None for what is not recorded."""
    data, environment = run.data, run.environment
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
