"""Does dropout do what the baseline's does? How far the loss of one window scatters in training mode."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
import torch

from harness.data.features import Windows
from harness.strategy import TrainSetup
from harness.training.step import autocast

DRAWS = 24
"""Losses that the scatter is taken of. Two such standard deviations of the same dropout are within a factor of 1.5 of
each other 19 times in 20 (F test with 23 degrees of freedom each)."""


def draw_losses(setup: TrainSetup, windows: Windows) -> list[float]:
    """Return the loss of the longest window, `DRAWS` times without an update between them."""
    numbers = np.array([windows.lengths.argmax()])
    batch = setup.collate(windows, numbers).to(setup.device)
    torch.manual_seed(0)
    losses = []
    for _ in range(DRAWS):
        # With gradients, though none is taken: code that was compiled for training is not compiled again.
        with autocast(setup):
            losses.append(setup.forward_loss(setup.model, batch).detach())
    return [float(loss) for loss in losses]


def scatter(losses: Sequence[float]) -> float | None:
    """Return the standard deviation of the losses; None if there are fewer than two."""
    return statistics.stdev(losses) if len(losses) > 1 else None
