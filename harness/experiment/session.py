"""What a worker can do: one process, one contender; a handler for each command."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from harness import registry
from harness.experiment import commands
from harness.experiment.auditor import Ask
from harness.experiment.commands import Answer, Command
from harness.experiment.deviation import save_updates
from harness.experiment.early import register_meta_kernels
from harness.experiment.equivalence import draw_losses, make_checked_setup, make_updates
from harness.experiment.footprint import take_footprint
from harness.experiment.job import Job, run_job
from harness.experiment.listener import Report
from harness.experiment.plan import resolve_contender, variables_of
from harness.experiment.segments import SegmentRunner
from harness.experiment.trial import Prepared, TrialClock, prepare_setup
from harness.experiment.validation import metric_of
from harness.measurement.environment import choose_device, describe_environment, gpu_uuid
from harness.measurement.profiling import profile_session, save_profile
from harness.measurement.sampler import Sampler, open_source
from harness.measurement.samples import cut_samples, stretches_between, write_samples_csv
from harness.measurement.speedometer import read_clock
from harness.records.files import write_json
from harness.records.spec import TrialSpec
from harness.records.store import TRIAL_FILE
from harness.records.trial import BASELINE, SamplingRecord, TrialKind, TrialRecord
from harness.training.baseline import describe
from harness.training.loop import describe_step, make_trainer, plan_training, set_process_flags, train_epoch, warm_up

if TYPE_CHECKING:
    from harness.experiment.replays import Replays


class Session:
    """A contender in its process. What it was prepared with is kept between commands."""

    def __init__(self, spec: TrialSpec, clock: TrialClock, report: Report, ask: Ask | None = None) -> None:
        self._spec = spec
        self._ask = ask if spec.config.audits.enabled else None
        self._clock = clock
        self._report = report
        with clock.phases.measure("imports"):
            registry.load_all(spec.config.plugins)
        self._device = device = choose_device(spec.config.device)
        if device.type == "cuda":
            # Making the context is a phase of its own.
            with clock.phases.measure("cuda_start"):
                torch.zeros(1, device=device)
                torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
        self._runner: SegmentRunner | None = None
        self._handlers: dict[type[Command[Any]], Callable[[Any], Any]] = {
            commands.Prepare: self._prepare,
            commands.RunJob: self._run_job,
            commands.Rest: lambda _: torch.cuda.empty_cache(),  # which does nothing without CUDA
            commands.LoadBlock: lambda block: self._segments().load_block(**vars(block)),
            commands.RunSegment: lambda command: self._segments().run(**vars(command)),
            commands.Replay: lambda command: self._replays.replay(command),
            commands.EndReplays: lambda command: self._replays.end(command),
            commands.MakeTwin: lambda command: self._replays.make_twin(command),
            commands.CompareTwin: lambda command: self._replays.compare_twin(command),
            commands.SaveUpdates: self._save_updates,
            commands.TakeFootprint: lambda _: take_footprint(
                self._segments(), variables=variables_of(spec.config, BASELINE, *spec.config.contenders)
            ),
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
        open_watched = functools.partial(
            open_source,
            device_type=self._device.type,
            gpu_uuid=gpu_uuid(self._device),
            root_pid=os.getppid(),  # the parent is the harness, which may hold a CUDA context too
        )
        with Sampler(open_watched, interval_s=self._spec.config.sampler_interval_s) as sampler:
            prepared = self._prepared
            record, done = self._record("job", prepared), None
            if record.status == "done":
                job = Job(
                    spec=self._spec, directory=directory, prepared=prepared, clock=self._clock, report=self._report
                )
                record, done = run_job(job, record, self._ask)
        if done is not None:
            source = sampler.source
            file = "gpu.csv" if source.kind == "nvml" else "host.csv"
            write_samples_csv(directory / file, sampler.samples)
            sampling = SamplingRecord(
                source=source.kind,
                source_reason=source.reason,
                file=file,
                ticks=sampler.ticks,
                errors=sampler.errors,
                overhead_share=sampler.overhead_share,
                power_source=None if source.gpu is None else source.gpu.power_source,
                training_start_s=done.start_s,
                training_end_s=done.end_s,
                pauses_s=done.pauses_s,
            )
            stretches_s = stretches_between(done.start_s, done.end_s, done.pauses_s)
            trained = [sample for stretch in cut_samples(sampler.samples, stretches_s) for sample in stretch]
            record = replace(record, sampling=sampling, speedometer=read_clock(trained))
        write_json(directory / TRIAL_FILE, record)
        return commands.JobEnd(elapsed_s=self._clock.elapsed_s())

    def _segments(self) -> SegmentRunner:
        if self._runner is None:
            batch_size = self._spec.config.training.batch_size
            self._runner = SegmentRunner(
                self._prepared.setup, self._prepared.inputs, baseline_batch_size=batch_size, ask=self._ask
            )
        return self._runner

    @functools.cached_property
    def _replays(self) -> Replays:
        from harness.experiment.replays import Replays

        return Replays(self._spec, self._prepared, self._device)

    def _save_updates(self, command: commands.SaveUpdates) -> None:
        inputs, config = self._prepared.inputs, self._spec.config
        strategies = [] if command.of_reference else resolve_contender(config, self._spec.contender)
        made = make_updates(make_checked_setup(config, strategies, inputs, self._device), inputs.train_windows)
        noisy, attention = (
            draw_losses(make_checked_setup(config, strategies, inputs, self._device, dropout=on), inputs.train_windows)
            for on in (True, "attention")
        )
        made = replace(made, dropout_losses=noisy, attention_losses=attention)
        save_updates(made, Path(command.path))
        set_process_flags(self._prepared.setup)

    def _run_profile(self, command: commands.RunProfile) -> None:
        """Run the profiler's schedule on the contender, in a process whose timings are done: it taxes what follows it.

        The warm-up is the job's, for every batch that a job has: what a job prepares before its clock is no part of a
        step.
        """
        prepared, directory, spec = self._prepared, Path(command.directory), self._spec
        # The segments' trainer holds an optimizer's state and perhaps CUDA graphs, which write to its addresses, so the
        # profiled trainer can't use them; no segment follows.
        self._runner = None
        config, windows = spec.config.profile, prepared.inputs.train_windows
        setup = replace(prepared.setup, training=replace(prepared.setup.training, max_steps=config.total_steps))
        torch.manual_seed(spec.seed)
        trainer = make_trainer(setup, windows)
        warm_up(trainer, plan_training(prepared.setup, windows))
        metadata = {"strategy": spec.contender, "model": spec.config.model.source, "seed": str(spec.seed)}
        with profile_session(config, setup.device, metadata) as session:

            def on_step(number: int) -> None:
                session.step()
                self._report("profiling", number, config.total_steps)

            for epoch in range(1, setup.training.epochs + 1):
                if session.steps_done < trainer.total_steps:
                    train_epoch(trainer, epoch=epoch, first_step=session.steps_done + 1, on_step=on_step)
        profile = save_profile(session, directory, spec.contender)
        knobs = describe(setup, trainer.optimizer) | describe_step(trainer)
        write_json(directory / TRIAL_FILE, replace(self._record("profile", prepared), profile=profile, knobs=knobs))
