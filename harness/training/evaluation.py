"""Evaluation: batched forward passes, then answers and their scores."""

from __future__ import annotations

import numpy as np
import torch

from harness.data.features import Windows
from harness.strategy import Logits, TrainSetup
from harness.training.step import autocast


def evaluate_in_batches(setup: TrainSetup, windows: Windows) -> Logits:
    """Return start and end logits, float32 (windows, longest batch), from forward passes of `eval_batch_size` windows.

    Runs on the training's device and with its precision; logits are copied to the host once, at the end.
    """
    starts, ends = [], []
    was_training = setup.model.training
    setup.model.eval()
    try:
        with torch.inference_mode(), autocast(setup):
            for first in range(0, len(windows), setup.training.eval_batch_size):
                numbers = np.arange(first, min(first + setup.training.eval_batch_size, len(windows)))
                batch = setup.collate(windows, numbers).to(setup.device)
                output = setup.model(**batch.inputs)
                starts.append(output.start_logits.float())
                ends.append(output.end_logits.float())
            return _to_host(starts), _to_host(ends)
    finally:
        setup.model.train(was_training)


def _to_host(parts: list[torch.Tensor]) -> np.ndarray:
    """Join batches of different lengths; columns that a batch doesn't have stay at the lowest value."""
    longest = max(part.shape[1] for part in parts)
    lowest = torch.finfo(torch.float32).min
    padded = [torch.nn.functional.pad(part, (0, longest - part.shape[1]), value=lowest) for part in parts]
    return torch.cat(padded).cpu().numpy()
