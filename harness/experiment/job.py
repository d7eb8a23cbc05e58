"""A job: one whole fine-tuning, from data to saved answers, each phase timed."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from harness.errors import HarnessError
from harness.experiment.listener import Report
from harness.experiment.trial import Prepared, TrialClock, compile_cache_directory, is_filled
from harness.experiment.validation import Validation, metric_of
from harness.measurement.clocks import PhaseClock
from harness.measurement.memory import read_peaks
from harness.measurement.sampler import Sampler
from harness.measurement.samples import write_samples_csv
from harness.records.store import write_predictions, write_steps
from harness.records.trial import (
    BASELINE,
    EpochRecord,
    ExamplePrediction,
    SamplingRecord,
    StepRecord,
    TrialRecord,
    TrialSpec,
)
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
    spec: TrialSpec, directory: Path, prepared: Prepared, record: TrialRecord, clock: TrialClock, report: Report
) -> tuple[TrialRecord, JobResults]:
    """Fine-tune and evaluate; return the record and the raw results. Files go to `directory`."""
    with clock.phases.measure("imports"):
        # The metric may need `evaluate`, which takes seconds to import; other commands go without.
        metric_of(prepared.setup.task, prepared.start_up)
    setup, inputs = prepared.setup, prepared.inputs
    validation = Validation(
        setup=setup,
        inputs=inputs,
        data=spec.config.data,
        phases=clock.phases,
        start_up=prepared.start_up,
    )
    with clock.phases.measure("warm_up"):
        report("warm-up", 0, 1)
        torch.manual_seed(spec.seed)
        trainer = make_trainer(setup, inputs.train_windows)
        warm_up(trainer)
    compile_cache: Literal["cold", "warm"] | None = "warm" if prepared.cache_was_filled else None
    # A cache that was and stays empty means that nothing was compiled.
    if not prepared.cache_was_filled and is_filled(compile_cache_directory(spec)):
        compile_cache = "cold"
    knobs = describe(setup, trainer.optimizer) | describe_step(trainer)
    settings = settings_of(setup, trainer.optimizer)
    record = replace(record, knobs=knobs, settings=settings, compile_cache=compile_cache)
    job = train_all_epochs(directory, trainer, validation, report)
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
        epochs=tuple(job.epochs),
        work=account_work(trainer, job.results),
        memory=read_peaks(setup.device),
    )
    return add_checks(spec, directory, prepared, done, job), job


def add_checks(
    spec: TrialSpec, directory: Path, prepared: Prepared, record: TrialRecord, job: JobResults
) -> TrialRecord:
    """Return the record with what is found out after the job: are its scores the model's, how good was it untrained."""
    start_s = time.perf_counter()
    if spec.contender != BASELINE and job.logits is not None:
        check = check_evaluation(
            prepared.setup,
            spec.config,
            prepared.inputs.validation_windows,
            job.logits,
            pad_id=prepared.inputs.tokenizer.pad_id,
        )
        record = replace(record, evaluation_check=check)
    if spec.contender == BASELINE and spec.seed == 0:
        record = add_untrained(spec, directory, prepared, record, job)
    return replace(record, excluded_s=time.perf_counter() - start_s)


def add_untrained(
    spec: TrialSpec, directory: Path, prepared: Prepared, record: TrialRecord, job: JobResults
) -> TrialRecord:
    """Return the record with what the model scored before training; its answers become epoch 0 of the predictions.

    It comes after the job, on a model made anew: before it, it would warm the process up and spare the baseline time.
    The setup is plain: what the configuration's baseline has changed in its model is not in this one.
    """
    device, pad_id = prepared.setup.device, prepared.inputs.tokenizer.pad_id
    model = load_model(spec.config.model, head=prepared.inputs.head, seed=spec.seed, device=device)
    plain = build_baseline(spec.config, model=model, pad_id=pad_id, seed=spec.seed, device=device)
    untrained = Validation(
        setup=plain, inputs=prepared.inputs, data=spec.config.data, phases=PhaseClock(), start_up=prepared.start_up
    ).run()
    job.predictions[0] = untrained.answers
    write_predictions(directory, job.predictions)
    return replace(record, untrained=untrained.scores)


def train_all_epochs(directory: Path, trainer: Trainer, validation: Validation, report: Report) -> JobResults:
    """Train and evaluate epoch by epoch; steps are saved after each epoch, so that nothing measured is lost."""
    job = JobResults(epochs=[], results=[], predictions={}, start_s=time.time())
    steps: list[StepRecord] = []
    phases = validation.phases
    for epoch in range(1, trainer.setup.training.epochs + 1):
        if len(steps) >= trainer.total_steps:
            break
        with phases.measure("training"):
            result = train_epoch(
                trainer,
                epoch=epoch,
                first_step=len(steps) + 1,
                on_step=lambda number: report("training", number, trainer.total_steps),
            )
        job.results.append(result)
        steps += result.steps
        with phases.measure("saving"):
            write_steps(directory, steps)
        check_losses(result)
        report("evaluation", epoch, trainer.setup.training.epochs)
        scored = validation.run()
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


def check_losses(result: EpochResult) -> None:
    """HarnessError with the first step whose loss is not a number."""
    first = next((step for step in result.steps if not math.isfinite(step.loss)), None)
    if first is not None:
        raise HarnessError(
            f"the loss is {first.loss} at step {first.step} (epoch {first.epoch})",
            remedy="see steps.jsonl for what came before",
        )


def save_samples(sampler: Sampler, directory: Path, job: JobResults) -> SamplingRecord:
    """Write the samples and return what the report says of the sampler."""
    source = sampler.source
    file = "gpu.csv" if source.kind == "nvml" else "host.csv"
    write_samples_csv(directory / file, sampler.samples)
    return SamplingRecord(
        source=source.kind,
        source_reason=source.reason,
        file=file,
        ticks=sampler.ticks,
        errors=sampler.errors,
        overhead_share=sampler.overhead_share,
        power_source=None if source.gpu is None else source.gpu.power_source,
        training_start_s=job.start_s,
        training_end_s=job.end_s,
    )
