"""The referee: what the configuration plans for a step that is audited, and that step replayed by the reference.

The plan is the configuration's, whatever the contender's loader and schedule did.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harness.data.windows import Windows
from harness.experiment.beside import Beside
from harness.experiment.commands import Replay
from harness.experiment.replay import replay
from harness.experiment.segments import SCHEDULE_STEPS, segment_training
from harness.experiment.snapshot import load_snapshot
from harness.records.checks import AuditRecord
from harness.strategy import TrainSetup
from harness.training.baseline import rate_share
from harness.training.loop import plan_epoch, plan_training


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """One step of a plan."""

    epoch: int
    """Counted from 1; in a segment the repetition."""
    windows: Windows
    numbers: tuple[int, ...]
    """Of `windows`, those of the step's batch."""
    setup: TrainSetup
    """The reference, with the recipe and the seed of the job or the segment."""
    total_steps: int
    """Length of the schedule."""
    updates_before: int | None
    """None in a segment: how many there were is the contender's to know."""

    def learning_rate(self, counted: int) -> float:
        """Return the planned rate; `counted`: updates before the step as the contender's optimizer has them."""
        training, updates = self.setup.training, counted if self.updates_before is None else self.updates_before
        return training.learning_rate * rate_share(training, self.total_steps, updates)


def plan_step(setup: TrainSetup, windows: Windows, asked: Replay) -> PlannedStep:
    """Return what is planned for a step of a job, or of a segment that repeats its block's windows."""
    setup = replace(setup, seed=asked.seed)
    is_segment = asked.where == "segment"
    if is_segment:
        setup = replace(setup, training=segment_training(setup.training))
        windows = windows.select(np.asarray(asked.block))
    plan = plan_training(setup, windows, epochs=asked.repetitions if is_segment else None)
    return PlannedStep(
        epoch=1 + (asked.step - 1) // len(plan_epoch(setup, windows, 1)),
        windows=windows,
        numbers=tuple(plan[asked.step - 1].tolist()),
        setup=setup,
        total_steps=SCHEDULE_STEPS if is_segment else len(plan),
        updates_before=None if is_segment else asked.step - 1,
    )


def replay_step(asked: Replay, setup: TrainSetup, windows: Windows, beside: Beside | None = None) -> AuditRecord:
    """Read what a contender wrote of a step and replay it with the reference; `windows` are the training set's.

    `beside` gathers what else is measured of it.
    """
    start_s = time.perf_counter()
    planned = plan_step(setup, windows, asked)
    snapshot = load_snapshot(
        Path(asked.path),
        epoch=planned.epoch,
        step=asked.step,
        numbers=planned.numbers,
        learning_rate_after=planned.learning_rate,
    )
    is_measured = asked.measured and beside is not None and beside.has_room(Path(asked.path), asked.seed)
    replayed, made = replay(
        snapshot,
        planned.setup,
        planned.windows,
        lowers_precision=asked.lowers_precision,
        has_twin=is_measured and asked.lowers_precision,
    )
    # In full precision a step with the reference's random numbers is the reference's own: nothing is left to measure.
    open_to_doubt = asked.lowers_precision or not replayed.same_random_numbers
    if is_measured and open_to_doubt and beside is not None:
        beside.measure(snapshot, planned.setup, planned.windows, Path(asked.path), expected=made.gradients)
    return AuditRecord(
        where=asked.where,
        seed=asked.seed,
        epoch=planned.epoch,
        step=asked.step,
        windows=len(planned.numbers),
        learning_rate=snapshot.learning_rate,
        planned_learning_rate=snapshot.planned_learning_rate,
        updates_before=snapshot.updates_before,
        planned_updates_before=planned.updates_before,
        replay=replayed,
        took_s=time.perf_counter() - start_s,
        lengths=tuple(sorted(planned.windows.lengths[list(planned.numbers)].tolist())),
    )
