"""A run from its configuration to its records: prepare, plan, run session after session, resume, extend."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Any

from harness.config import RunConfig
from harness.errors import ConfigError
from harness.experiment.again import find_unusual_jobs, repeat_unusual_jobs
from harness.experiment.applicability import spell_out_stacks
from harness.experiment.bench import Bench
from harness.experiment.budget import find_next, read_timed
from harness.experiment.goals import is_finished
from harness.experiment.listener import Listener
from harness.experiment.plan import (
    PlannedSession,
    PlannedTrial,
    plan_first_seed,
    plan_other_seeds,
    plan_process,
)
from harness.experiment.prepare import measure_roof_of, prepare
from harness.records.files import default_cache_directory, write_json
from harness.records.serialise import override
from harness.records.spec import TokenizerFacts
from harness.records.store import ANALYSIS_FILE, CHECKS, COMPILE_CACHES, RUN_FILE, TRIAL_FILE, read_record
from harness.records.trial import RunRecord, TrialRecord
from harness.setting import all_settings

CIRCUMSTANCES: dict[str, Callable[[RunRecord], Any]] = {
    "training set": lambda run: run.data.get("train_sha256"),
    "validation set": lambda run: run.data.get("validation_sha256"),
    "quality set": lambda run: run.data.get("quality_sha256"),
    "form of the bundled weights": lambda run: run.data.get("model_weights"),
    "device": lambda run: run.environment.get("device_name"),
    "processor": lambda run: run.environment.get("cpu"),
    "number of PyTorch threads": lambda run: run.environment.get("torch_threads"),
    "version of PyTorch": lambda run: run.environment.get("packages", {}).get("torch"),
}
"""What all trials of a run must share beside its configuration; None for what is not recorded."""


GROWING: dict[str, Callable[[Any, Any], Any]] = {
    "preset": lambda before, now: before,
    "contenders": lambda before, now: [*dict.fromkeys([*before, *now])],
    "seeds": max,
    "speed.budget_s": max,
    "profile.enabled": lambda before, now: now,
    "profile.everyone": lambda before, now: now,
}
"""What a run may be given more of under its name, and what the configuration of both is then. A preset is a label."""


def execute_run(
    config: RunConfig, directory: Path, *, cache_directory: Path | None, command: str, listener: Listener
) -> bool:
    """Run the plan in `directory`, or what is not done there yet: a run goes on, also with more than it was asked for.

    Returns whether there was anything left to do. Raises HarnessError before anything is written if the configuration
    can't be run, and ConfigError if the directory holds another run, or one that began on other data, another machine
    or another PyTorch.
    """
    config = spell_out_stacks(config)
    cache_directory = cache_directory or default_cache_directory()
    file = directory / RUN_FILE
    begun = read_record(file, RunRecord) if file.exists() else None
    if begun is not None:
        config = extend(begun.config, config, directory)
    elif directory.exists() and any(directory.iterdir()):
        raise ConfigError(f"{directory} exists and is not a run directory", remedy="choose another --name")
    head, tokenizer = prepare(config, directory.name, command, cache_directory)
    sessions = [*plan_first_seed(config), *plan_other_seeds(config)]
    if begun is None:
        head = replace(head, roof=measure_roof_of(config, head.model_sizes))
    else:
        check_same_circumstances(directory, begun, head)
        trials = [trial for session in sessions for trial in session.trials]
        again = [one for one in plan_again(begun, directory) if one.trials[0] not in trials]
        sessions, trials = sessions + again, trials + [one.trials[0] for one in again]
        head = continue_record(begun, head, {trial.folder for trial in trials}, directory)
        is_whole = all(is_finished(trial, config, directory) for trial in trials)
        if is_whole and plan_further(head, directory) is None and not find_unusual_jobs(head.trials, directory):
            return False
    # A run that was killed has left its own: compiled code would make a first compile a warm one.
    remove_temporary_folders(directory)
    try:
        run_sessions(head, sessions, directory, cache_directory, listener, tokenizer)
    finally:
        remove_temporary_folders(directory)
    return True


def run_sessions(
    head: RunRecord,
    sessions: list[PlannedSession],
    directory: Path,
    cache_directory: Path,
    listener: Listener,
    tokenizer: TokenizerFacts,
) -> None:
    """Run what is not done yet of the sessions; between the first seed and the others, what the budget is left for."""
    trials = [trial for session in sessions for trial in session.trials]
    head = record_plan(head, trials, directory)
    train_windows = int(head.data["train_windows"])
    with Bench(head.config, trials, directory, cache_directory, listener, tokenizer, train_windows) as bench:
        # Only a run that compares is worth the seconds.
        jobs = [trial for trial in trials if trial.kind == "job" and not is_finished(trial, head.config, directory)]
        if jobs and head.config.contenders:
            bench.warm_caches()
        for session in sessions:
            if session.seed == 0:
                bench.run(session)
        further = plan_further(head, directory)
        while further is not None:
            head = record_plan(head, further.trials, directory)
            bench.run(further)
            further = plan_further(head, directory)
        for session in sessions:
            if session.seed > 0:
                bench.run(session)
        repeat_unusual_jobs(bench, head.trials, directory)


def plan_further(head: RunRecord, directory: Path) -> PlannedSession | None:
    """Return the process of timed segments that the budget is best spent on now; None when none is."""
    if not head.config.speed.enabled:
        return None
    timed = read_timed(directory, head.config)
    name = find_next(timed, head.config, requests=1 + len(head.earlier_commands))
    return None if name is None else plan_process(name, len(timed.of(name)) + 1)


def plan_again(begun: RunRecord, directory: Path) -> list[PlannedSession]:
    """Return the further processes that failed: like all that fails, they are tried again when a run goes on."""
    paths = [directory / folder / TRIAL_FILE for folder in begun.trials]
    records = [read_record(path, TrialRecord) for path in paths if path.exists()]
    return [
        plan_process(record.contender, record.process)
        for record in records
        if record.process > 1 and record.status == "failed"
    ]


def record_plan(head: RunRecord, trials: Iterable[PlannedTrial], directory: Path) -> RunRecord:
    """Write the run's head with these trials behind those that it has, and return it."""
    folders = (*head.trials, *(trial.folder for trial in trials))
    head = replace(head, trials=tuple(dict.fromkeys(folders)))
    write_json(directory / RUN_FILE, head)
    return head


def extend(recorded: RunConfig, wanted: RunConfig, directory: Path) -> RunConfig:
    """Return the configuration of a run that is given more; ConfigError if it differs in what can't be added."""
    changes = {}
    for name, _, _ in all_settings(RunConfig):
        before, now = (attrgetter(name)(config) for config in (recorded, wanted))
        if name in GROWING:
            changes[name] = GROWING[name](before, now)
        elif before != now:
            raise ConfigError(
                f"{directory} holds a run with another configuration: {name} is {before!r} there, now {now!r}",
                remedy="choose another --name, or leave the option out to go on with that run",
            )
    return override(recorded, changes)


def continue_record(begun: RunRecord, now: RunRecord, planned: set[str], directory: Path) -> RunRecord:
    """Return the head of a run that goes on. What is not there and not planned any more is left out."""
    trials = tuple(folder for folder in begun.trials if folder in planned or (directory / folder / TRIAL_FILE).exists())
    if begun.config == now.config:
        return replace(begun, trials=trials)
    was_judged = (directory / ANALYSIS_FILE).exists()
    return replace(
        begun,
        config=now.config,
        command=now.command,
        earlier_commands=(*begun.earlier_commands, begun.command),
        looks=begun.looks + was_judged,
        trials=trials,
    )


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
