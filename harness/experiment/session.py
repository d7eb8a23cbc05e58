"""What a worker can do: one process, one contender; a handler for each command."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from harness import registry
from harness.experiment import commands
from harness.experiment.commands import Answer, Command
from harness.experiment.dropout import draw_losses
from harness.experiment.early import register_meta_kernels
from harness.experiment.equivalence import make_checked_setup, make_updates, save_updates
from harness.experiment.footprint import take_footprint
from harness.experiment.job import run_job, save_samples
from harness.experiment.listener import Report
from harness.experiment.plan import resolve_contender
from harness.experiment.profile import run_profile
from harness.experiment.segments import SegmentRunner
from harness.experiment.trial import (
    Prepared,
    TrialClock,
    prepare_setup,
    variables_of_strategies,
)
from harness.experiment.validation import metric_of
from harness.measurement.environment import choose_device, describe_environment, gpu_uuid
from harness.measurement.sampler import Sampler, open_source
from harness.records.checks import FootprintRecord
from harness.records.files import write_json
from harness.records.store import TRIAL_FILE
from harness.records.trial import TrialKind, TrialRecord, TrialSpec
from harness.training.loop import set_process_flags


def start_device(wanted: str, clock: TrialClock) -> torch.device:
    """Return the device to work on; on CUDA with its context made, which is a phase of its own."""
    device = choose_device(wanted)
    if device.type == "cuda":
        with clock.phases.measure("cuda_start"):
            torch.zeros(1, device=device)
            torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    return device


class Session:
    """A contender in its process. What it was prepared with is kept between commands."""

    def __init__(self, spec: TrialSpec, clock: TrialClock, report: Report) -> None:
        self._spec = spec
        self._clock = clock
        self._report = report
        with clock.phases.measure("imports"):
            registry.load_all(spec.config.plugins)
        self._device = start_device(spec.config.device, clock)
        self._runner: SegmentRunner | None = None
        self._handlers: dict[type[Command[Any]], Callable[[Any], Any]] = {
            commands.Prepare: self._prepare,
            commands.RunJob: self._run_job,
            commands.Rest: self._rest,
            commands.LoadBlock: self._load_block,
            commands.RunSegment: self._run_segment,
            commands.SaveUpdates: self._save_updates,
            commands.TakeFootprint: self._take_footprint,
            commands.RunProfile: self._run_profile,
        }

    def handle(self, command: Command[Answer]) -> Answer:
        """Do one command and return its answer."""
        if not isinstance(command, commands.RunJob):
            register_meta_kernels()
        answer: Answer = self._handlers[type(command)](command)
        return answer

    @functools.cached_property
    def _prepared(self) -> Prepared:
        return prepare_setup(self._spec, self._clock, self._device, self._report)

    def _record(self, kind: TrialKind, prepared: Prepared) -> TrialRecord:
        refused = prepared.refusal is not None
        return TrialRecord(
            contender=self._spec.contender,
            kind=kind,
            seed=self._spec.seed,
            status="not_applicable" if refused else "done",
            reason=prepared.refusal,
            environment=describe_environment(self._device),
            strategies=tuple(registry.describe(type(strategy)) for strategy in prepared.strategies),
        )

    def _prepare(self, _: commands.Prepare) -> commands.Readiness:
        # What a job imports (`evaluate`) makes Python's garbage collector slower: A/A of the tiny model came out at
        # 1.02 to 1.06 while only one of the two processes had it. Whoever is timed has it, unless it does without.
        prepared = self._prepared
        metric_of(prepared.setup.task, prepared.start_up)
        training = prepared.setup.training
        return commands.Readiness(
            refusal=prepared.refusal,
            batch_size=training.batch_size,
            eval_batch_size=training.eval_batch_size,
            train_windows=len(prepared.inputs.train_windows),
            validation_windows=len(prepared.inputs.validation_windows),
            device=self._device.type,
            gpu_uuid=gpu_uuid(self._device),
        )

    def _run_job(self, command: commands.RunJob) -> commands.JobEnd:
        directory = Path(command.directory)
        source = functools.partial(
            open_source,
            device_type=self._device.type,
            gpu_uuid=gpu_uuid(self._device),
            root_pid=os.getppid(),  # the parent is the harness, which may hold a CUDA context too
        )
        with Sampler(source, interval_s=self._spec.config.sampler_interval_s) as sampler:
            prepared = self._prepared
            record = self._record("job", prepared)
            job = None
            if record.status == "done":
                record, job = run_job(self._spec, directory, prepared, record, self._clock, self._report)
        if job is not None:
            record = replace(record, sampling=save_samples(sampler, directory, job))
        write_json(directory / TRIAL_FILE, record)
        return commands.JobEnd(elapsed_s=self._clock.elapsed_s())

    def _rest(self, _: commands.Rest) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _runner_once(self) -> SegmentRunner:
        if self._runner is None:
            batch_size = self._spec.config.training.batch_size
            self._runner = SegmentRunner(self._prepared.setup, self._prepared.inputs, baseline_batch_size=batch_size)
        return self._runner

    def _load_block(self, command: commands.LoadBlock) -> None:
        self._runner_once().load_block(
            command.kind, command.numbers, rehearse=command.rehearse, repetitions=command.repetitions
        )

    def _run_segment(self, command: commands.RunSegment) -> commands.SegmentWork:
        runner = self._runner_once()
        runner.run(command.repetitions)
        return commands.SegmentWork(work=runner.last_work, allocator_retries=runner.allocator_retries())

    def _save_updates(self, command: commands.SaveUpdates) -> None:
        inputs = self._prepared.inputs
        windows = inputs.train_windows
        strategies = [] if command.of_reference else resolve_contender(self._spec.config, self._spec.contender)
        make_setup = functools.partial(
            make_checked_setup,
            self._spec.config,
            strategies,
            windows,
            head=inputs.head,
            pad_id=inputs.tokenizer.pad_id,
            device=self._device,
        )
        made = make_updates(make_setup(), windows)
        made = replace(made, dropout_losses=draw_losses(make_setup(dropout=True), windows))
        save_updates(made, Path(command.path))
        set_process_flags(self._prepared.setup)

    def _take_footprint(self, _: commands.TakeFootprint) -> FootprintRecord:
        variables = variables_of_strategies(self._spec.config)
        return take_footprint(self._runner_once(), variables=variables)

    def _run_profile(self, command: commands.RunProfile) -> None:
        prepared, directory = self._prepared, Path(command.directory)
        # The segments' trainer holds an optimizer's state and perhaps CUDA graphs, which write to its addresses, so the
        # profiled trainer can't use them; no segment follows.
        self._runner = None
        profile, knobs = run_profile(self._spec, directory, prepared, self._report)
        record = replace(self._record("profile", prepared), profile=profile, knobs=knobs)
        write_json(directory / TRIAL_FILE, record)
