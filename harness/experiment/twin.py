"""A contender's twin: its strategies on a fresh model, put into the states that audits have caught.

Where a contender draws other random numbers than the reference, its steps can't be held against the reference's. Two
questions replace that one: was each step what the strategies do on a fresh model from the same state and random state
(dropout on), and is what they do the reference's mathematics (dropout off)?
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from harness.config import RunConfig
from harness.data.windows import Windows
from harness.experiment.deviation import MOST_PASSES
from harness.experiment.equivalence import make_checked_setup
from harness.experiment.inputs import Inputs
from harness.experiment.perturbation import (
    Gradients,
    measure_deviation,
    on_host,
    reference_gradient,
    relative_distance,
    scaled_products,
    table_of,
)
from harness.experiment.replay import load_parameters, planned_settings, restore_random_state
from harness.experiment.snapshot import Snapshot, gradient_of, used_gradient
from harness.records.perturbation import PerturbationRecord, TwinRecord
from harness.strategy import Batch, StepOutcome, Strategy, TrainSetup
from harness.training.loop import make_trainer, prepare_step


@dataclass(frozen=True, kw_only=True)
class TwinGradients:
    """What a twin made of the audited steps, in their order; None where it made no step."""

    with_dropout: Sequence[Gradients | None]
    """From the random state of the step."""
    again: Gradients | None
    """The first of these once more: threads that share a generator draw other numbers each time."""
    without: Sequence[Gradients | None]


def make_twin(
    config: RunConfig,
    strategies: list[Strategy],
    inputs: Inputs,
    device: torch.device,
    snapshots: Sequence[Snapshot],
    *,
    windows: Windows | None = None,
) -> TwinGradients:
    """Return the gradients of a twin at the audited steps, of which there is one at least. For a process of its own.

    `windows` are those that the steps' numbers name; by default the training set's.
    """
    windows = inputs.train_windows if windows is None else windows

    def make(dropout: bool, steps: Sequence[Snapshot]) -> list[dict[str, Tensor] | None]:
        setup = make_checked_setup(config, strategies, inputs, device, dropout=dropout)
        return twin_gradients(setup, windows, steps)

    *with_dropout, again = make(True, [*snapshots, snapshots[0]])
    return TwinGradients(with_dropout=with_dropout, again=again, without=make(False, snapshots))


def twin_gradients(
    setup: TrainSetup, windows: Windows, snapshots: Iterable[Snapshot]
) -> list[dict[str, Tensor] | None]:
    """Return the gradients that a contender's step uses from the state before each audited one; None: it made none.

    `setup` is the contender's on a fresh model (`make_checked_setup`): with dropout to make the steps themselves again,
    or without it to compare with the reference. Its own loader, loop, step and optimizer run, on the planned windows;
    the gradient is read off the optimizer's first moments, which are 0 before.
    """
    trainer = None
    made: list[dict[str, Tensor] | None] = []
    for snapshot in snapshots:
        numbers = np.asarray(snapshot.numbers)
        if trainer is None:
            # A long schedule: its learning rate never ends, and no gradient depends on it.
            trainer = make_trainer(setup, windows, total_steps=10**6)
            prepare_step(trainer, [numbers], repeated=True)
        for _ in range(MOST_PASSES if setup.gradient_scaling else 1):
            load_parameters(setup, snapshot.before)
            for state in trainer.optimizer.state.values():
                state["exp_avg"].zero_()
            recorder = _Restorer(snapshot)
            setup.run_epoch(setup, trainer.step, windows, [numbers], recorder)
            if all(math.isfinite(float(outcome.gradient_norm)) for outcome in recorder.outcomes):
                break
        beta = float(trainer.optimizer.param_groups[0]["betas"][0])
        state = trainer.optimizer.state
        found = {
            name: gradient_of(None, on_host(state[p]["exp_avg"]), beta)
            for name, p in setup.model.named_parameters()
            if "exp_avg" in state.get(p, {})
        }
        made.append(found or None)
    return made


class _Restorer:
    """A `StepRecorder` that restores the random state when the step begins, as it was caught then."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.outcomes: list[StepOutcome] = []

    def begin(self, batch: Batch) -> None:
        restore_random_state(self._snapshot)

    def end(self, outcome: StepOutcome) -> None:
        self.outcomes.append(outcome)


def compare_twin(
    record: PerturbationRecord, twin: TwinGradients, snapshots: Sequence[Snapshot], setup: TrainSetup, windows: Windows
) -> TwinRecord:
    """Return how a twin's gradients compare; `setup` is the reference's with dropout off."""
    deviations = []
    for snapshot, found in zip(snapshots, twin.without, strict=True):
        expected = reference_gradient(setup, windows, snapshot, snapshot.numbers)
        deviations.append(measure_deviation(found or {}, expected))
    planned = planned_settings(setup)
    steps = zip((used_gradient(replace(step, **planned)) for step in snapshots), twin.with_dropout, strict=True)
    return TwinRecord(
        deviations=table_of(deviations, record.tensors),
        products=scaled_products(deviations, record.tensors, np.array(record.scatter)),
        disagreements=tuple(None if made is None else relative_distance(used, made) for used, made in steps),
        repeatability=None if twin.again is None else relative_distance(twin.again, twin.with_dropout[0] or {}),
    )
