"""What a worker can do: one process, one contender; its commands by name."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from harness import registry
from harness.experiment.dropout import draw_losses
from harness.experiment.early import register_meta_kernels
from harness.experiment.equivalence import make_checked_setup, make_updates, save_updates
from harness.experiment.footprint import take_footprint
from harness.experiment.job import run_job, save_samples
from harness.experiment.profile import run_profile
from harness.experiment.segments import SegmentRunner
from harness.experiment.trial import (
    Prepared,
    Report,
    TrialClock,
    prepare_setup,
    resolve_contender,
    variables_of_strategies,
)
from harness.measurement.environment import choose_device, describe_environment, gpu_uuid
from harness.measurement.sampler import Sampler, open_source
from harness.records.store import TRIAL_FILE, write_json
from harness.records.trial import TrialKind, TrialRecord, TrialSpec
from harness.training.loop import set_process_flags

Arguments = dict[str, Any]


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
        self._prepared: Prepared | None = None
        self._runner: SegmentRunner | None = None
        self._commands: dict[str, Callable[[Arguments], Arguments]] = {
            "prepare": self._prepare,
            "job": self._job,
            "rest": self._rest,
            "load_block": self._load_block,
            "segment": self._segment,
            "reference": self._reference,
            "update": self._update,
            "footprint": self._footprint,
            "profile": self._profile,
        }

    def handle(self, command: Arguments) -> Arguments:
        """Do one command and return its answer as JSON-ready data."""
        if command["command"] != "job":
            register_meta_kernels()
        return self._commands[command["command"]](command)

    def _prepared_once(self) -> Prepared:
        if self._prepared is None:
            self._prepared = prepare_setup(self._spec, self._clock, self._device, self._report)
        return self._prepared

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

    def _prepare(self, _: Arguments) -> Arguments:
        """Get ready without a job; the answer says where windows are and how large batches are."""
        # What a job imports (`evaluate`) makes Python's garbage collector slower: A/A of the tiny model came out at
        # 1.02 to 1.06 while only one of the two processes had it. Whoever is timed has it, unless it does without.
        prepared = self._prepared_once()
        if not prepared.start_up.score_without_evaluate:
            importlib.import_module("harness.tasks.question_answering.squad_metric")
        training = prepared.setup.training
        return {
            "refusal": prepared.refusal,
            "batch_size": training.batch_size,
            "eval_batch_size": training.eval_batch_size,
            "train_windows": len(prepared.inputs.train_windows),
            "validation_windows": len(prepared.inputs.validation_windows),
            "device": self._device.type,
            "gpu_uuid": gpu_uuid(self._device),
        }

    def _job(self, arguments: Arguments) -> Arguments:
        """Fine-tune, watched by the sampler, and write the records into the directory."""
        directory = Path(arguments["directory"])
        source = functools.partial(
            open_source,
            device_type=self._device.type,
            gpu_uuid=gpu_uuid(self._device),
            root_pid=os.getppid(),  # the parent is the harness, which may hold a CUDA context too
        )
        with Sampler(source, interval_s=self._spec.config.sampler_interval_s) as sampler:
            prepared = self._prepared_once()
            record = self._record("job", prepared)
            job = None
            if record.status == "done":
                record, job = run_job(self._spec, directory, prepared, record, self._clock, self._report)
        if job is not None:
            record = replace(record, sampling=save_samples(sampler, directory, job))
        write_json(directory / TRIAL_FILE, record)
        return {"elapsed_s": self._clock.elapsed_s()}

    def _rest(self, _: Arguments) -> Arguments:
        """Give back device memory that is not needed while another worker runs its job."""
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return {}

    def _runner_once(self) -> SegmentRunner:
        if self._runner is None:
            prepared = self._prepared_once()
            batch_size = self._spec.config.training.batch_size
            self._runner = SegmentRunner(prepared.setup, prepared.inputs, baseline_batch_size=batch_size)
        return self._runner

    def _load_block(self, arguments: Arguments) -> Arguments:
        self._runner_once().load_block(
            arguments["kind"],
            arguments["numbers"],
            rehearse=arguments["rehearse"],
            repetitions=arguments["repetitions"],
        )
        return {}

    def _segment(self, arguments: Arguments) -> Arguments:
        runner = self._runner_once()
        runner.run(arguments["repetitions"])
        return {"work": runner.last_work, "allocator_retries": runner.allocator_retries()}

    def _reference(self, arguments: Arguments) -> Arguments:
        """Save the fp32 reference's update: no strategy applied, whatever this contender is."""
        return self._save_updates(arguments, [])

    def _update(self, arguments: Arguments) -> Arguments:
        """Save this contender's updates."""
        return self._save_updates(arguments, resolve_contender(self._spec.config, self._spec.contender))

    def _save_updates(self, arguments: Arguments, strategies: list[Any]) -> Arguments:
        inputs = self._prepared_once().inputs
        windows = inputs.train_windows
        make_setup = functools.partial(
            make_checked_setup,
            self._spec.config,
            strategies,
            windows,
            pad_id=inputs.tokenizer.pad_id,
            device=self._device,
        )
        made = make_updates(make_setup(), windows)
        made = replace(made, dropout_losses=draw_losses(make_setup(dropout=True), windows))
        save_updates(made, Path(arguments["path"]))
        set_process_flags(self._prepared_once().setup)
        return {}

    def _footprint(self, _: Arguments) -> Arguments:
        variables = variables_of_strategies(self._spec.config)
        return dataclasses.asdict(take_footprint(self._runner_once(), variables=variables))

    def _profile(self, arguments: Arguments) -> Arguments:
        prepared, directory = self._prepared_once(), Path(arguments["directory"])
        # The segments' trainer holds an optimizer's state and perhaps CUDA graphs, which write to its addresses, so the
        # profiled trainer can't use them; no segment follows.
        self._runner = None
        profile, knobs = run_profile(self._spec, directory, prepared, self._report)
        record = replace(self._record("profile", prepared), profile=profile, knobs=knobs)
        write_json(directory / TRIAL_FILE, record)
        return {}
