"""One trial: a whole fine-tuning, or a few profiled steps. A function of its specification alone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
import transformers

from harness import registry
from harness.errors import HarnessError
from harness.experiment.inputs import Inputs, load_inputs, load_tokenised
from harness.measurement.clocks import PhaseClock
from harness.measurement.environment import choose_device, describe_environment, gpu_uuid
from harness.measurement.memory import read_peaks, reset_peaks
from harness.measurement.profiling import profile_session, save_profile
from harness.measurement.sampler import Sampler, make_sampler
from harness.measurement.samples import write_samples_csv
from harness.records import (
    BASELINE,
    EpochRecord,
    ExamplePrediction,
    SamplingRecord,
    StepRecord,
    StrategyRecord,
    TrialRecord,
    TrialSpec,
)
from harness.storage import write_predictions, write_steps
from harness.strategy import Strategy, TrainSetup
from harness.training.baseline import build_baseline, describe
from harness.training.loop import (
    EpochResult,
    Trainer,
    account_work,
    diverged,
    make_trainer,
    set_process_flags,
    train_epoch,
    warm_up,
)
from harness.training.model import check_length, load_model

if TYPE_CHECKING:
    from harness.experiment.validation import Validation

Report = Callable[[str, int, int], None]
"""(phase, done, total): progress for whoever waits."""


class TrialClock:
    """The trial's time: from the moment its process was asked for."""

    def __init__(self, spawned_at_s: float) -> None:
        self.phases = PhaseClock()
        self._spawned_at_s = spawned_at_s

    def elapsed_s(self) -> float:
        """Seconds since the process was asked for."""
        return time.time() - self._spawned_at_s

    def finish(self) -> tuple[float, dict[str, float]]:
        """Return job time and phases; "other" is what no phase covers."""
        job_time_s = self.elapsed_s()
        phases_s = dict(self.phases.phases_s)
        phases_s["other"] = max(0.0, job_time_s - sum(phases_s.values()))
        return job_time_s, phases_s


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A trial that is ready to train."""

    setup: TrainSetup
    inputs: Inputs
    strategies: list[Strategy]
    refusal: str | None
    """Why a strategy can't be applied; then the setup is the baseline's."""


def run_trial(spec: TrialSpec, clock: TrialClock, report: Report) -> TrialRecord:
    """Run the trial and return its record; files go to the specification's directory."""
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    registry.load_all(spec.config.plugins)
    device = choose_device(spec.config.device)
    reset_peaks(device)
    record = TrialRecord(contender=spec.contender, kind=spec.kind, seed=spec.seed, status="done")
    sampler = make_sampler(
        device_type=device.type,
        gpu_uuid=gpu_uuid(device),
        interval_s=spec.config.sampler_interval_s,
        root_pid=os.getppid(),  # the parent is the harness, which may hold a CUDA context too
    )
    with sampler:
        prepared = prepare_setup(spec, clock, device, report)
        record = replace(
            record,
            environment=describe_environment(device),
            strategies=tuple(describe_strategy(strategy) for strategy in prepared.strategies),
        )
        if prepared.refusal is not None:
            return replace(record, status="not_applicable", reason=prepared.refusal)
        if spec.kind == "profile":
            return run_profile(spec, prepared, record, report)
        record, training_start_s, training_end_s = run_job(spec, prepared, record, clock, report)
    sampling = save_samples(sampler, Path(spec.directory), training_start_s, training_end_s)
    return replace(record, sampling=sampling)


def prepare_setup(spec: TrialSpec, clock: TrialClock, device: torch.device, report: Report) -> Prepared:
    """Load data and model, then apply the contender's strategies; each in its phase."""
    config = spec.config
    report("loading", 0, 1)
    with clock.phases.measure("load_data"):
        train, validation = load_inputs(config)
    with clock.phases.measure("tokenise"):
        inputs = load_tokenised(config, train, validation, Path(spec.cache_directory))
    with clock.phases.measure("load_model"):
        model = load_model(config.model, seed=spec.seed, device=device)
        check_length(model.config, config.data.max_length)
    setup = build_baseline(config, model=model, pad_id=inputs.pad_id, seed=spec.seed, device=device)
    strategies = registry.resolve(spec.contender)
    with clock.phases.measure("apply_strategies"):
        setup, refusal = apply_strategies(setup, strategies)
        set_process_flags(setup)
    return Prepared(setup=setup, inputs=inputs, strategies=strategies, refusal=refusal)


def apply_strategies(setup: TrainSetup, strategies: list[Strategy]) -> tuple[TrainSetup, str | None]:
    """Apply the strategies in order; the second value says why one can't be applied (then none is)."""
    for strategy in strategies:
        reason = strategy.not_applicable(setup)
        if reason is not None:
            return setup, reason if len(strategies) == 1 else f"{strategy.name}: {reason}"
    for strategy in strategies:
        setup = strategy.apply(setup)
    return setup, None


def describe_strategy(strategy: Strategy) -> StrategyRecord:
    """Return what the report says of a part of a contender."""
    return StrategyRecord(name=strategy.name, summary=strategy.summary, effect=strategy.effect.name)


def run_job(
    spec: TrialSpec, prepared: Prepared, record: TrialRecord, clock: TrialClock, report: Report
) -> tuple[TrialRecord, float, float]:
    """Fine-tune and evaluate; return the record and when training began and ended (epoch seconds)."""
    with clock.phases.measure("imports"):
        # The metric needs `evaluate`, which takes seconds to import; a profiled trial goes without.
        from harness.experiment.validation import Validation

    setup, inputs = prepared.setup, prepared.inputs
    validation = Validation(setup=setup, inputs=inputs, phases=clock.phases)
    predictions: dict[int, list[ExamplePrediction]] = {}
    caches_before = _is_filled(spec.compile_cache_directory)
    with clock.phases.measure("warm_up"):
        report("warm-up", 0, 1)
        torch.manual_seed(spec.seed)
        trainer = make_trainer(setup, inputs.train_windows)
        warm_up(trainer)
    compile_cache = _cache_state(caches_before, _is_filled(spec.compile_cache_directory))
    record = replace(record, knobs=describe(setup, trainer.optimizer), compile_cache=compile_cache)
    training_start_s = time.time()
    epochs, results = train_all_epochs(spec, trainer, validation, predictions, report)
    training_end_s = time.time()
    with clock.phases.measure("saving"):
        write_predictions(Path(spec.directory), predictions)
        if spec.config.save_model:
            save_weights(setup, inputs, Path(spec.directory) / "model")
    job_time_s, phases_s = clock.finish()
    done = replace(
        record,
        phases_s=phases_s,
        job_time_s=job_time_s,
        epochs=tuple(epochs),
        work=account_work(results),
        memory=read_peaks(setup.device),
    )
    if spec.contender == BASELINE and spec.seed == 0:
        done = add_untrained(spec, prepared, done, predictions)
    return done, training_start_s, training_end_s


def add_untrained(
    spec: TrialSpec, prepared: Prepared, record: TrialRecord, predictions: dict[int, list[ExamplePrediction]]
) -> TrialRecord:
    """Return the record with what the model scored before training; its answers become epoch 0 of `predictions`.

    It comes after the job, on a model made anew: before it, it would warm the process up and spare the baseline time.
    """
    from harness.experiment.validation import Validation

    fresh = replace(prepared.setup, model=load_model(spec.config.model, seed=spec.seed, device=prepared.setup.device))
    untrained = Validation(setup=fresh, inputs=prepared.inputs, phases=PhaseClock())
    quality, predictions[0], excluded_s = untrained.run()
    write_predictions(Path(spec.directory), predictions)
    return replace(record, untrained=quality, excluded_s=excluded_s)


def train_all_epochs(
    spec: TrialSpec,
    trainer: Trainer,
    validation: Validation,
    predictions: dict[int, list[ExamplePrediction]],
    report: Report,
) -> tuple[list[EpochRecord], list[EpochResult]]:
    """Train and evaluate epoch by epoch; steps are saved after each epoch, so that nothing measured is lost."""
    epochs, results, steps = [], [], list[StepRecord]()
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
        results.append(result)
        steps += result.steps
        with phases.measure("saving"):
            write_steps(Path(spec.directory), steps)
        if diverged(result):
            raise HarnessError(
                f"the loss is {result.steps[-1].loss} at the end of epoch {epoch}",
                remedy="see steps.jsonl for where it began",
            )
        report("evaluation", epoch, trainer.setup.training.epochs)
        quality, predictions[epoch], time_s = validation.run()
        epochs.append(
            EpochRecord(
                epoch=epoch,
                train_time_s=result.time_s,
                train_loss=result.loss,
                evaluation_time_s=time_s,
                em=quality.em,
                f1=quality.f1,
            )
        )
    return epochs, results


def run_profile(spec: TrialSpec, prepared: Prepared, record: TrialRecord, report: Report) -> TrialRecord:
    """Run the profiler's schedule on the contender and save trace and sums."""
    setup, config = prepared.setup, spec.config.profile
    setup = replace(setup, training=replace(setup.training, max_steps=config.total_steps))
    torch.manual_seed(spec.seed)
    trainer = make_trainer(setup, prepared.inputs.train_windows)
    warm_up(trainer)
    metadata = {"strategy": spec.contender, "model": spec.config.model.source, "seed": str(spec.seed)}
    with profile_session(config, setup.device, metadata) as session:

        def on_step(number: int) -> None:
            session.step()
            report("profiling", number, config.total_steps)

        for epoch in range(1, setup.training.epochs + 1):
            if session.steps_done < trainer.total_steps:
                train_epoch(trainer, epoch=epoch, first_step=session.steps_done + 1, on_step=on_step)
    profiled = save_profile(session, Path(spec.directory), spec.contender)
    return replace(record, knobs=describe(setup, trainer.optimizer), profile=profiled)


def save_samples(sampler: Sampler, directory: Path, start_s: float, end_s: float) -> SamplingRecord:
    """Write the samples and return what the report says of the sampler."""
    file = "gpu.csv" if sampler.source == "nvml" else "host.csv"
    write_samples_csv(directory / file, sampler.samples)
    return SamplingRecord(
        source=sampler.source,
        source_reason=sampler.source_reason,
        file=file,
        ticks=sampler.ticks,
        errors=sampler.errors,
        overhead_share=sampler.overhead_share,
        power_source=sampler.gpu.power_source if sampler.gpu is not None else None,
        training_start_s=start_s,
        training_end_s=end_s,
    )


def save_weights(setup: TrainSetup, inputs: Inputs, directory: Path) -> None:
    """Save model and tokenizer as transformers does, safetensors only."""
    model: transformers.PreTrainedModel = setup.model
    model.save_pretrained(directory)
    inputs.tokenizer.save_pretrained(directory)


def _is_filled(directory: str) -> bool:
    path = Path(directory)
    return path.is_dir() and any(path.iterdir())


def _cache_state(before: bool, after: bool) -> Literal["cold", "warm"] | None:
    """A cache that was and stays empty means that nothing was compiled."""
    if before:
        return "warm"
    return "cold" if after else None
