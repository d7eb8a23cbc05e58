"""A job: one whole fine-tuning, from data to saved answers, each phase timed."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from harness.errors import HarnessError
from harness.experiment.auditor import Ask, Auditor
from harness.experiment.listener import Report
from harness.experiment.quality_set import answer_untrained, judge_trained_model
from harness.experiment.trial import Prepared, TrialClock, compile_cache_directory, is_filled
from harness.experiment.validation import metric_of, validate
from harness.measurement.memory import read_peaks
from harness.records.checks import AuditsRecord
from harness.records.spec import TrialSpec
from harness.records.store import write_predictions, write_steps
from harness.records.trial import BASELINE, EpochRecord, ExamplePrediction, StepRecord, TrialRecord
from harness.strategy import Logits
from harness.training.baseline import describe, settings_of
from harness.training.evaluation_check import check_evaluation
from harness.training.loop import (
    Trainer,
    account_work,
    describe_step,
    make_trainer,
    train_epoch,
    warm_up,
)
from harness.training.model import load_tokenizer
from harness.training.recorder import EpochResult


@dataclass(frozen=True, kw_only=True)
class Job:
    """One fine-tuning: what it is of, and whom it tells."""

    spec: TrialSpec
    directory: Path
    """Where its files go."""
    prepared: Prepared
    clock: TrialClock
    report: Report


@dataclass(kw_only=True)
class JobResults:
    """What a job gathers epoch by epoch."""

    epochs: list[EpochRecord]
    results: list[EpochResult]
    predictions: dict[int, list[ExamplePrediction]]
    logits: Logits | None = None
    """Of the last evaluation, as they were scored."""
    start_s: float = 0.0
    """When training began, seconds since the epoch."""
    end_s: float = 0.0
    pauses_s: tuple[tuple[float, float], ...] = ()
    """Epoch times, [begin, end], between which it waited for an audit."""


def run_job(job: Job, record: TrialRecord, ask: Ask | None = None) -> tuple[TrialRecord, JobResults]:
    """Fine-tune and evaluate; return the record and the raw results.

    `ask`: asks the parent about every step whether it is to be audited; without it none is.
    """
    clock, setup, was_filled = job.clock, job.prepared.setup, job.prepared.cache_was_filled
    trainer = make_warm_trainer(job)
    record = replace(
        record,
        knobs=describe(setup, trainer.optimizer) | describe_step(trainer),
        settings=settings_of(setup, trainer.optimizer),
        # A cache that was and stays empty means that nothing was compiled.
        compile_cache="warm" if was_filled else "cold" if is_filled(compile_cache_directory(job.spec)) else None,
    )
    auditor = None
    if ask is not None:
        ask({"event": "warmed_up", "seconds": clock.phases.phases_s["warm_up"]})
        auditor = Auditor(trainer, ask)
    done = train_all_epochs(job, trainer, auditor)
    if auditor is not None:
        done.pauses_s = tuple(auditor.pauses_s)
    with clock.phases.measure("saving"):
        write_predictions(job.directory, done.predictions)
        if job.spec.config.save_model:
            # As transformers does, safetensors only.
            model: Any = setup.model
            model.save_pretrained(job.directory / "model")
            load_tokenizer(job.spec.config.model).save_pretrained(job.directory / "model")
    job_time_s, phases_s = clock.finish()
    record = replace(
        record,
        phases_s=phases_s,
        job_time_s=job_time_s,
        excluded_s=clock.excluded_s,
        recording_s=sum(result.noting_s for result in done.results),
        epochs=tuple(done.epochs),
        work=account_work(trainer, done.results),
        memory=read_peaks(setup.device),
        audits=None if auditor is None else AuditsRecord(audits=(), drawn=(), cost=auditor.cost()),
    )
    return add_checks(job, record, done), done


def make_warm_trainer(job: Job) -> Trainer:
    """Return what trains, warmed up; what else is imported late and takes seconds is imported too."""
    phases, prepared = job.clock.phases, job.prepared
    with phases.measure("imports"):
        # The metric may need `evaluate`, which takes seconds to import; other commands go without.
        metric_of(prepared.setup.task, prepared.start_up)
    with phases.measure("warm_up"):
        job.report("warm-up", 0, 1)
        torch.manual_seed(job.spec.seed)
        trainer = make_trainer(prepared.setup, prepared.inputs.train_windows)
        warm_up(trainer)
    return trainer


def add_checks(job: Job, record: TrialRecord, done: JobResults) -> TrialRecord:
    """Return the record with what is found out after the job: are its scores the model's, how good is it on the
    quality set, how good was it untrained.

    The untrained model's answers become epoch 0 of the predictions.
    """
    start_s = time.perf_counter()
    job.report("quality set and checks", 0, 1)
    spec, prepared = job.spec, job.prepared
    inputs = prepared.inputs
    if spec.contender != BASELINE and done.logits is not None:
        check = check_evaluation(
            prepared.setup, spec.config, inputs.validation_windows, done.logits, pad_id=inputs.tokenizer.pad_id
        )
        record = replace(record, evaluation_check=check)
    record = judge_trained_model(spec, job.directory, prepared, record, done.predictions, done.logits)
    if spec.contender == BASELINE and spec.seed == 0:
        # After the job: before it, it would warm the process up and spare the baseline time.
        scores, done.predictions[0] = answer_untrained(spec, prepared)
        write_predictions(job.directory, done.predictions)
        record = replace(record, untrained=scores)
    return replace(record, excluded_s=record.excluded_s + time.perf_counter() - start_s)


def train_all_epochs(job: Job, trainer: Trainer, auditor: Auditor | None) -> JobResults:
    """Train and evaluate epoch by epoch; between epochs the job pauses for a moment, outside its time."""
    done = JobResults(epochs=[], results=[], predictions={}, start_s=time.time())
    steps: list[StepRecord] = []
    epochs = trainer.setup.training.epochs
    for epoch in range(1, epochs + 1):
        if len(steps) >= trainer.total_steps:
            break
        if done.epochs:
            job.clock.pause()
        result = train_one_epoch(job, trainer, epoch, auditor, steps)
        job.report("evaluation", epoch, epochs)
        scored = validate(
            job.prepared.setup, job.prepared.inputs, job.spec.config.data, job.clock.phases, job.prepared.start_up
        )
        done.results.append(result)
        done.predictions[epoch], done.logits = scored.answers, scored.logits
        done.epochs.append(
            EpochRecord(
                epoch=epoch,
                train_time_s=result.time_s,
                train_loss=result.loss,
                evaluation_time_s=scored.time_s,
                scores=scored.scores,
            )
        )
    done.end_s = time.time()
    return done


def train_one_epoch(
    job: Job, trainer: Trainer, epoch: int, auditor: Auditor | None, steps: list[StepRecord]
) -> EpochResult:
    """Train an epoch, add its steps to those before and save all, so that nothing measured is lost.

    HarnessError if a loss is not finite.
    """
    phases = job.clock.phases
    with phases.measure("training"):
        result = train_epoch(
            trainer,
            epoch=epoch,
            first_step=len(steps) + 1,
            on_step=lambda number: job.report("training", number, trainer.total_steps),
            audit=auditor,
        )
    phases.add("training", -result.paused_s)
    job.clock.excluded_s += result.paused_s
    steps += result.steps
    with phases.measure("saving"):
        write_steps(job.directory, steps)
    first = next((step for step in result.steps if not math.isfinite(step.loss)), None)
    if first is not None:
        reason = f"the loss is {first.loss} at step {first.step} (epoch {first.epoch})"
        raise HarnessError(reason, remedy="see steps.jsonl for what came before")
    return result
