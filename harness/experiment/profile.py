"""A few steps under `torch.profiler`, in a process whose timings are all done: the profiler taxes what follows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from harness.experiment.listener import Report
from harness.experiment.trial import Prepared
from harness.measurement.profiling import profile_session, save_profile
from harness.records.trial import ProfileRecord, TrialSpec
from harness.training.baseline import describe
from harness.training.loop import describe_step, make_trainer, plan_training, train_epoch, warm_up


def run_profile(
    spec: TrialSpec, directory: Path, prepared: Prepared, report: Report
) -> tuple[ProfileRecord, dict[str, str]]:
    """Run the profiler's schedule on the contender; return what it saw and the pinned settings. Saves the trace.

    The warm-up is the job's, for every batch that a job has: what a job prepares before its clock is no part of a step.
    """
    setup, config = prepared.setup, spec.config.profile
    setup = replace(setup, training=replace(setup.training, max_steps=config.total_steps))
    torch.manual_seed(spec.seed)
    trainer = make_trainer(setup, prepared.inputs.train_windows)
    warm_up(trainer, plan_training(prepared.setup, prepared.inputs.train_windows))
    metadata = {"strategy": spec.contender, "model": spec.config.model.source, "seed": str(spec.seed)}
    with profile_session(config, setup.device, metadata) as session:

        def on_step(number: int) -> None:
            session.step()
            report("profiling", number, config.total_steps)

        for epoch in range(1, setup.training.epochs + 1):
            if session.steps_done < trainer.total_steps:
                train_epoch(trainer, epoch=epoch, first_step=session.steps_done + 1, on_step=on_step)
    return save_profile(session, directory, spec.contender), describe(setup, trainer.optimizer) | describe_step(trainer)
