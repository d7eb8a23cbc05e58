"""The forward passes of evaluation, batch by batch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from harness.data.windows import Windows
from harness.strategy import Logits, TrainSetup

LOWEST = torch.finfo(torch.float32).min
"""Logit of columns that a window doesn't have."""


def evaluate_in_batches(setup: TrainSetup, windows: Windows) -> Logits:
    """Return the logits, each float32 (windows, columns of the widest batch), from passes of `eval_batch_size` windows.

    Runs on the training's device and with its precision; logits are copied to the host once, at the end.
    """
    parts: list[tuple[Tensor, ...]] = []
    was_training = setup.model.training
    setup.model.eval()
    try:
        with torch.inference_mode(), setup.autocast():
            for first in range(0, len(windows), setup.training.eval_batch_size):
                numbers = np.arange(first, min(first + setup.training.eval_batch_size, len(windows)))
                batch = setup.collate(windows, numbers).to(setup.device)
                longest = int(windows.lengths[numbers].max())
                parts.append(setup.task.read_logits(setup.model, batch, longest))
            outputs: list[np.ndarray] = []
            for rows in zip(*parts, strict=True):
                widest = max(part.shape[1] for part in rows)
                padded = [functional.pad(part, (0, widest - part.shape[1]), value=LOWEST) for part in rows]
                outputs.append(torch.cat(padded).cpu().numpy())
            return tuple(outputs)
    finally:
        setup.model.train(was_training)
