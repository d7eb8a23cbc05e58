"""Does dropout do what the baseline's does? How far the loss of one window scatters in training mode."""

from __future__ import annotations

import contextlib
import statistics
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch

from harness.data.windows import Windows
from harness.strategy import TrainSetup

DRAWS = 24
"""Losses that the scatter is taken of. Two such standard deviations of the same dropout are within a factor of 1.5 of
each other 19 times in 20 (F test with 23 degrees of freedom each)."""

COMPILER = "torch._dynamo"
"""Module that `torch.compile` imports when it is first called."""


def draw_losses(setup: TrainSetup, windows: Windows) -> list[float]:
    """Return the loss of the longest window, `DRAWS` times without an update between them.

    What is compiled runs uncompiled: the question is what became of the model's dropout, and the graph with dropout for
    one window would have to be compiled for this alone (14 s of a run of 6 minutes).
    """
    numbers = np.array([windows.lengths.argmax()])
    batch = setup.collate(windows, numbers).to(setup.device)
    torch.manual_seed(0)
    losses = []
    with uncompiled():
        for _ in range(DRAWS):
            with setup.autocast():
                losses.append(setup.forward_loss(setup.model, batch).detach())
    return [float(loss) for loss in losses]


def uncompiled() -> AbstractContextManager[None]:
    """Return a context in which what is compiled runs uncompiled.

    Where the compiler was never imported nothing is, and asking it for a stance would import it (1.3 s).
    """
    if COMPILER not in sys.modules:
        return contextlib.nullcontext()
    stance: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return stance


def scatter(losses: Sequence[float]) -> float | None:
    """Return the standard deviation of the losses; None if there are fewer than two."""
    return statistics.stdev(losses) if len(losses) > 1 else None
