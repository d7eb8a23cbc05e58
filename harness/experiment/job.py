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
from harness.experiment.quality_set import judge_trained_model
from harness.experiment.trial import Prepared, TrialClock, compile_cache_directory, is_filled
from harness.experiment.validation import metric_of, validate
from harness.measurement.clocks import PhaseClock
from harness.measurement.memory import read_peaks
from harness.records.checks import AuditsRecord
from harness.records.spec import TrialSpec
from harness.records.store import write_predictions, write_steps
from harness.records.trial import BASELINE, EpochRecord, ExamplePrediction, StepRecord, TrialRecord
from harness.strategy import Logits
from harness.training.baseline import build_baseline, describe, settings_of
from harness.training.evaluation_check import check_evaluation
from harness.training.loop import (
    Trainer,
    account_work,
    describe_step,
    make_trainer,
    train_epoch,
    warm_up,
)
from harness.training.model import load_model, load_tokenizer
from harness.training.recorder import EpochResult


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


def run_job(
    spec: TrialSpec,
    directory: Path,
    prepared: Prepared,
    record: TrialRecord,
    clock: TrialClock,
    report: Report,
    ask: Ask | None = None,
) -> tuple[TrialRecord, JobResults]:
    """Fine-tune and evaluate; return the record and the raw results. Files go to `directory`.

    `ask`: asks the parent about every step whether it is to be audited; without it none is.
    """
    setup = prepared.setup
    with clock.phases.measure("imports"):
        # The metric may need `evaluate`, which takes seconds to import; other commands go without.
        metric_of(setup.task, prepared.start_up)
    with clock.phases.measure("warm_up"):
        report("warm-up", 0, 1)
        torch.manual_seed(spec.seed)
        trainer = make_trainer(setup, prepared.inputs.train_windows)
        warm_up(trainer)
    # A cache that was and stays empty means that nothing was compiled.
    is_cold = not prepared.cache_was_filled and is_filled(compile_cache_directory(spec))
    record = replace(
        record,
        knobs=describe(setup, trainer.optimizer) | describe_step(trainer),
        settings=settings_of(setup, trainer.optimizer),
        compile_cache="warm" if prepared.cache_was_filled else "cold" if is_cold else None,
    )
    auditor = None if ask is None else Auditor(trainer, ask)
    job = train_all_epochs(spec, directory, prepared, trainer, clock, report, auditor)
    with clock.phases.measure("saving"):
        write_predictions(directory, job.predictions)
        if spec.config.save_model:
            # As transformers does, safetensors only.
            model: Any = setup.model
            model.save_pretrained(directory / "model")
            load_tokenizer(spec.config.model).save_pretrained(directory / "model")
    job_time_s, phases_s = clock.finish()
    done = replace(
        record,
        phases_s=phases_s,
        job_time_s=job_time_s,
        excluded_s=clock.excluded_s,
        recording_s=sum(result.noting_s for result in job.results),
        epochs=tuple(job.epochs),
        work=account_work(trainer, job.results),
        memory=read_peaks(setup.device),
        audits=None if auditor is None else AuditsRecord(audits=(), drawn=(), cost=auditor.cost()),
    )
    report("quality set and checks", 0, 1)
    return add_checks(spec, directory, prepared, done, job), job


def add_checks(
    spec: TrialSpec, directory: Path, prepared: Prepared, record: TrialRecord, job: JobResults
) -> TrialRecord:
    """Return the record with what is found out after the job: are its scores the model's, how good is it on the
    quality set, how good was it untrained.

    The untrained model's answers become epoch 0 of the predictions.
    """
    start_s = time.perf_counter()
    config, inputs, device = spec.config, prepared.inputs, prepared.setup.device
    pad_id = inputs.tokenizer.pad_id
    if spec.contender != BASELINE and job.logits is not None:
        check = check_evaluation(prepared.setup, config, inputs.validation_windows, job.logits, pad_id=pad_id)
        record = replace(record, evaluation_check=check)
    record = judge_trained_model(spec, directory, prepared, record, job.predictions, job.logits)
    if spec.contender == BASELINE and spec.seed == 0:
        # After the job, on a model made anew: before it, it would warm the process up and spare the baseline time. The
        # setup is plain: what the configuration's baseline has changed in its model is not in this one.
        model = load_model(config.model, head=inputs.head, seed=spec.seed, device=device)
        plain = build_baseline(config, model=model, pad_id=pad_id, seed=spec.seed, device=device)
        untrained = validate(plain, inputs, config.data, PhaseClock(), prepared.start_up)
        job.predictions[0] = untrained.answers
        write_predictions(directory, job.predictions)
        record = replace(record, untrained=untrained.scores)
    return replace(record, excluded_s=record.excluded_s + time.perf_counter() - start_s)


def train_all_epochs(
    spec: TrialSpec,
    directory: Path,
    prepared: Prepared,
    trainer: Trainer,
    clock: TrialClock,
    report: Report,
    auditor: Auditor | None,
) -> JobResults:
    """Train and evaluate epoch by epoch; steps are saved after each epoch, so that nothing measured is lost.

    Between epochs the job pauses for a moment, outside its time.
    """
    phases = clock.phases
    job = JobResults(epochs=[], results=[], predictions={}, start_s=time.time())
    steps: list[StepRecord] = []
    epochs, total = trainer.setup.training.epochs, trainer.total_steps
    for epoch in range(1, epochs + 1):
        if len(steps) >= total:
            break
        if job.epochs:
            clock.pause()
        with phases.measure("training"):
            result = train_epoch(
                trainer,
                epoch=epoch,
                first_step=len(steps) + 1,
                on_step=lambda number: report("training", number, total),
                audit=auditor,
            )
        phases.add("training", -result.paused_s)
        clock.excluded_s += result.paused_s
        job.results.append(result)
        steps += result.steps
        with phases.measure("saving"):
            write_steps(directory, steps)
        first = next((step for step in result.steps if not math.isfinite(step.loss)), None)
        if first is not None:
            reason = f"the loss is {first.loss} at step {first.step} (epoch {first.epoch})"
            raise HarnessError(reason, remedy="see steps.jsonl for what came before")
        report("evaluation", epoch, epochs)
        scored = validate(prepared.setup, prepared.inputs, spec.config.data, phases, prepared.start_up)
        job.predictions[epoch], job.logits = scored.answers, scored.logits
        job.epochs.append(
            EpochRecord(
                epoch=epoch,
                train_time_s=result.time_s,
                train_loss=result.loss,
                evaluation_time_s=scored.time_s,
                scores=scored.scores,
            )
        )
    job.end_s = time.time()
    return job
