"""The run directory: where each file lies, and reading of the records.

Layout: `run.json`, `trials/<contender>/<k>/…`, `analysis.json`, `report.md`, `figures/`, `tensorboard/`.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from harness.errors import ConfigError, RecordError
from harness.records.files import write_json, write_text_atomic
from harness.records.serialise import build
from harness.records.trial import SCHEMA_VERSION, ExamplePrediction, RunRecord, StepRecord, TrialRecord
from harness.records.upgrade import OLDEST, UPGRADES, with_scores

T = TypeVar("T")

RUN_FILE = "run.json"
SPEC_FILE = "spec.json"
TRIAL_FILE = "trial.json"
STEPS_FILE = "steps.jsonl"
PREDICTIONS_FILE = "predictions.json"
QUALITY_FILE = "quality.json"
LOG_FILE = "log.txt"
ANALYSIS_FILE = "analysis.json"

COMPILE_CACHES = "compile-cache"
"""Folder for compilers' caches of this run, so that the first compile of a run is a cold one; removed at its end."""

CHECKS = "checks"
"""Folder for what the checks need meanwhile: tensors, and the workers that make them; removed at the run's end."""


def read_record(path: Path, cls: type[T]) -> T:
    """Read one record; RecordError names the file and what is wrong with it."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordError(f"{path} is missing", remedy="check the path of the run directory") from None
    except (OSError, ValueError) as error:
        raise RecordError(f"{path} is damaged: {error}", remedy="remove the trial and run it again") from None
    version: Any = data.get("schema_version", SCHEMA_VERSION) if isinstance(data, dict) else None
    if version not in range(OLDEST, SCHEMA_VERSION + 1):
        raise RecordError(
            f"{path} has schema version {version}, this program reads {OLDEST} to {SCHEMA_VERSION}",
            remedy="use the speedproof version that made the run",
        )
    upgrade = UPGRADES.get((version, cls.__name__))
    try:
        return build(cls, upgrade(data) if upgrade else data)
    except ConfigError as error:
        raise RecordError(f"{path} is damaged: {error.message}", remedy="remove the trial and run it again") from None
    except (AttributeError, KeyError, TypeError) as error:
        raise RecordError(f"{path} is damaged: {error!r}", remedy="remove the trial and run it again") from None


def write_steps(directory: Path, steps: list[StepRecord]) -> None:
    """Write one JSON object a line."""
    lines = (json.dumps(dataclasses.asdict(step)) + "\n" for step in steps)
    write_text_atomic(directory / STEPS_FILE, "".join(lines))


def read_steps(directory: Path) -> list[StepRecord]:
    """Read the steps of a trial; RecordError names the damaged line."""
    path = directory / STEPS_FILE
    if not path.exists():
        raise RecordError(f"{path} is missing", remedy="remove the trial and run it again")
    steps = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            steps.append(build(StepRecord, json.loads(line)))
        except (ValueError, ConfigError) as error:
            raise RecordError(f"{path}, line {number}: {error}", remedy="remove the trial and run it again") from None
    return steps


def write_predictions(directory: Path, epochs: dict[int, list[ExamplePrediction]]) -> None:
    """Write what was answered after each epoch (0 is the untrained model)."""
    data = {str(epoch): [dataclasses.asdict(row) for row in rows] for epoch, rows in epochs.items()}
    write_json(directory / PREDICTIONS_FILE, data)


def read_predictions(directory: Path) -> dict[int, list[ExamplePrediction]]:
    """Read what `write_predictions` wrote."""
    path = directory / PREDICTIONS_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {
            int(epoch): [build(ExamplePrediction, with_scores(row)) for row in rows] for epoch, rows in data.items()
        }
    except (OSError, ValueError, AttributeError, TypeError, ConfigError) as error:
        raise RecordError(f"{path} is damaged: {error}", remedy="remove the trial and run it again") from None


def write_quality(directory: Path, rows: list[ExamplePrediction]) -> None:
    """Write what the trained model answered to the quality set."""
    write_json(directory / QUALITY_FILE, [dataclasses.asdict(row) for row in rows])


def read_quality(directory: Path) -> list[ExamplePrediction]:
    """Read what `write_quality` wrote."""
    path = directory / QUALITY_FILE
    try:
        return [build(ExamplePrediction, row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, ConfigError) as error:
        raise RecordError(f"{path} is damaged: {error}", remedy="remove the trial and run it again") from None


@dataclass(frozen=True, kw_only=True)
class LoadedTrial:
    """A trial with its raw values."""

    directory: Path
    record: TrialRecord
    steps: list[StepRecord]
    predictions: dict[int, list[ExamplePrediction]]
    quality_set: list[ExamplePrediction] = dataclasses.field(default_factory=list)
    """Answers to the quality set; empty where the validation set is it."""


@dataclass(frozen=True, kw_only=True)
class LoadedRun:
    """A run directory, read. What could not be read is named in `damaged` and left out."""

    directory: Path
    run: RunRecord
    trials: list[LoadedTrial]
    missing: list[str]
    """Planned trials that have not been run."""
    damaged: list[str]
    """One line per record that could not be read."""


def trial_is_finished(directory: Path) -> bool:
    """Whether a trial need not be run again: its record is there, whole, and says done or not applicable."""
    try:
        return read_record(directory / TRIAL_FILE, TrialRecord).status != "failed"
    except RecordError:
        return False


def load_run(directory: Path) -> LoadedRun:
    """Read a run directory; RecordError only if its head is missing or damaged."""
    run = read_record(directory / RUN_FILE, RunRecord)
    trials, missing, damaged = [], [], []
    for name in run.trials:
        folder = directory / name
        if not (folder / TRIAL_FILE).exists():
            missing.append(name)
            continue
        try:
            record = read_record(folder / TRIAL_FILE, TrialRecord)
            is_job = record.status == "done" and record.kind == "job"
            trials.append(
                LoadedTrial(
                    directory=folder,
                    record=record,
                    steps=read_steps(folder) if is_job else [],
                    predictions=read_predictions(folder) if is_job else {},
                    quality_set=read_quality(folder) if is_job and record.quality_set is not None else [],
                )
            )
        except RecordError as error:
            damaged.append(error.message)
    return LoadedRun(directory=directory, run=run, trials=trials, missing=missing, damaged=damaged)
