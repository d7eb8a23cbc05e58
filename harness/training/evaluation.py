"""Evaluation: batched forward passes, then answers and their scores."""

from __future__ import annotations

import numpy as np
import torch

from harness.data.batching import Batch
from harness.data.packing import is_packed, unpack
from harness.data.windows import Windows
from harness.strategy import Logits, TrainSetup

LOWEST = torch.finfo(torch.float32).min
"""Logit of places where a window has no token."""


def evaluate_in_batches(setup: TrainSetup, windows: Windows) -> Logits:
    """Return start and end logits, float32 (windows, longest batch), from forward passes of `eval_batch_size` windows.

    Runs on the training's device and with its precision; logits are copied to the host once, at the end.
    """
    starts, ends = [], []
    was_training = setup.model.training
    setup.model.eval()
    try:
        with torch.inference_mode(), setup.autocast():
            for first in range(0, len(windows), setup.training.eval_batch_size):
                numbers = np.arange(first, min(first + setup.training.eval_batch_size, len(windows)))
                batch = setup.collate(windows, numbers).to(setup.device)
                output = setup.model(**batch.inputs)
                longest = int(windows.lengths[numbers].max())
                starts.append(_rows(batch, output.start_logits.float(), longest))
                ends.append(_rows(batch, output.end_logits.float(), longest))
            return _to_host(starts), _to_host(ends)
    finally:
        setup.model.train(was_training)


def _rows(batch: Batch, logits: torch.Tensor, longest: int) -> torch.Tensor:
    """Return one row of logits for each window, also where the batch is packed into one."""
    if not is_packed(batch):
        return logits
    return unpack(logits[0], batch.inputs["cu_seqlens"], length=longest, fill=LOWEST)


def _to_host(parts: list[torch.Tensor]) -> np.ndarray:
    """Join batches of different lengths; columns that a batch doesn't have stay at the lowest value."""
    longest = max(part.shape[1] for part in parts)
    padded = [torch.nn.functional.pad(part, (0, longest - part.shape[1]), value=LOWEST) for part in parts]
    return torch.cat(padded).cpu().numpy()
