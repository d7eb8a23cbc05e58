"""The largest batch that fits.

What it changes: windows per update are doubled, at most three times, as long as a training pass of the longest windows
fits in the GPU's memory, found by running it; the learning rate grows with the square root. Epochs stay.
Why it is faster: bigger matrix products, fewer optimizer steps and launches.
When it is not: once the products fill the device; the trial passes cost time themselves, as a part of the job. On
processors too large a batch does not fail but swaps, so it can't be found by running it, and rarely pays.
What it does to the numbers: another training: fewer updates with less noise. On little data that can cost quality, so
it is judged on the whole job.
Sources: Malladi et al. 2022 (arXiv 2205.10287): square-root scaling rule; accelerate `find_executable_batch_size`.
"""

from __future__ import annotations

import numpy as np
import torch

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup, Windows
from optimizations.larger_batches import with_larger_batches

LARGEST_FACTOR = 8
"""Windows per update, times, at most: beyond it the updates of a small data set are too few."""

MOMENTS = 2
"""Values that AdamW keeps for each parameter; they are not there yet when batches are tried."""


def training_pass_fits(setup: TrainSetup, windows_per_update: int) -> bool:
    """Whether forward and backward of so many windows fit beside the optimizer's state; leaves no gradients.

    The windows are made up: as long as they may be, all tokens number 1, every label 0.
    """
    tokens = windows_per_update * setup.max_length
    windows = Windows(
        input_ids=np.ones(tokens, dtype=np.int32),
        token_type_ids=np.zeros(tokens, dtype=np.int8),
        row_starts=np.arange(windows_per_update + 1, dtype=np.int64) * setup.max_length,
        labels={name: np.zeros(windows_per_update, dtype=np.int64) for name in setup.task.labels},
        example_index=np.arange(windows_per_update, dtype=np.int64),
        offsets=np.full((tokens, 2), -1, dtype=np.int32),
    )
    try:
        reserved = [torch.empty_like(p) for p in setup.model.parameters() for _ in range(MOMENTS)]
        batch = setup.collate(windows, np.arange(windows_per_update)).to(setup.device)
        with setup.autocast():
            loss = setup.forward_loss(setup.model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        del reserved
    except torch.OutOfMemoryError:
        return False
    finally:
        setup.model.zero_grad(set_to_none=True)
        if setup.device.type == "cuda":
            torch.cuda.empty_cache()
    return True


@register
class BatchFinder(Strategy):
    """Batches as large as memory allows."""

    name = "batch_finder"
    summary = f"Up to {LARGEST_FACTOR}× batch size as memory allows, learning rate × its square root"
    effect = Effect.NEW_SCHEDULE
    stage = Stage.GRAPH
    addresses = ("slow_products", "launch_bound", "optimizer", "spare_memory")
    devices = ("cuda",)
    elsewhere = "on processors a batch that is too large swaps instead of failing; use larger_batches"

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Try batches and take the largest, with its learning rate."""
        base, factor = setup.training.batch_size, 1
        while factor < LARGEST_FACTOR and training_pass_fits(setup, 2 * factor * base):
            factor *= 2
        return with_larger_batches(setup, factor).with_knobs({"batch size found": f"{factor} × {base}"})
