"""Larger batches.

What it changes: 4 times the windows per update and 2 times the learning rate (the square-root rule for Adam); the
number of epochs stays, so there are a quarter of the updates.
Why it is faster: bigger matrix products, a quarter of the optimizer steps and launches.
When it is not: once the products already fill the device; on processors, where memory traffic grows with the batch.
What it does to the numbers: another training: fewer updates with less noise. On little data that can cost quality, so
it is judged on the whole job at its own learning rate, never on throughput.
Sources: Malladi et al. 2022 (arXiv 2205.10287): square-root scaling rule; You et al. 2020 (arXiv 1904.00962).
"""

from __future__ import annotations

import math
from dataclasses import replace

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup

FACTOR = 4
"""Windows per update, times."""


def with_larger_batches(setup: TrainSetup, factor: int) -> TrainSetup:
    """Return the setup with `factor` times the batch size, and the learning rate that goes with it."""
    training = setup.training
    return replace(
        setup,
        training=replace(
            training,
            batch_size=training.batch_size * factor,
            learning_rate=training.learning_rate * math.sqrt(factor),
        ),
    )


@register
class LargerBatches(Strategy):
    """Four times the batch at twice the learning rate."""

    name = "larger_batches"
    summary = f"{FACTOR}× batch size, {math.sqrt(FACTOR):g}× learning rate, same epochs"
    effect = Effect.NEW_SCHEDULE
    stage = Stage.DATA
    addresses = ("slow_products", "launch_bound", "optimizer", "spare_memory")
    conflicts = ("batch_finder",)

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Scale batch size and learning rate together."""
        return with_larger_batches(setup, FACTOR)
