"""A run of one configuration that is just long enough for its ledger, and stands for its whole job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.analysis.advice.advice import Advice, write_advice
from harness.analysis.advice.short_run import PlannedJob, advise
from harness.config import RunConfig
from harness.experiment.inputs import load_inputs
from harness.experiment.listener import Listener
from harness.experiment.runner import execute_run
from harness.records.store import load_run

UNPROFILED_STEPS = 6
"""Enough for a median that the first steps, often slower, don't move."""

TRAIN_QUESTIONS = 512
"""Enough for the steps of a strategy with batches several times as large."""

VALIDATION_QUESTIONS = 64


def _at_most(most: int, value: int | None) -> int:
    return most if value is None else min(most, value)


def profile_configuration(
    config: RunConfig, directory: Path, *, cache_directory: Path | None, command: str, listener: Listener
) -> Advice:
    """Run `config` in `directory` with few steps and questions, and nothing beside its baseline; write `ledger.json`.

    Returns what it says of the whole job. Raises HarnessError if the configuration can't be run.
    """
    data, training = config.data, config.training
    train, validation = load_inputs(config)
    short = replace(
        config,
        contenders=(),
        seeds=1,
        data=replace(
            data,
            train_size=_at_most(TRAIN_QUESTIONS, data.train_size),
            validation_size=_at_most(VALIDATION_QUESTIONS, data.validation_size),
            quality_size=None,
        ),
        training=replace(training, max_steps=_at_most(UNPROFILED_STEPS, training.max_steps)),
        profile=replace(config.profile, enabled=True),
        speed=replace(config.speed, enabled=False),
    )
    execute_run(short, directory, cache_directory=cache_directory, command=command, listener=listener)
    planned = PlannedJob(
        train_questions=len(train),
        validation_questions=len(validation),
        epochs=training.epochs,
        max_steps=training.max_steps,
    )
    advice = advise(load_run(directory), planned)
    write_advice(directory, advice)
    return advice
