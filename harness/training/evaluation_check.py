"""Are the scored logits those of the trained model? A plain fp32 pass over a sample of windows tells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from harness.config import RunConfig
from harness.data.windows import Windows
from harness.records.checks import EvaluationCheckRecord
from harness.strategy import Logits, TrainSetup
from harness.training.baseline import build_baseline, forward_dtype
from harness.training.evaluation import evaluate_in_batches

CHECKED_WINDOWS = 64
"""At most, evenly spread over the validation set: enough to catch answers that come from elsewhere."""


def check_evaluation(
    setup: TrainSetup, config: RunConfig, windows: Windows, claimed: Logits, *, pad_id: int
) -> EvaluationCheckRecord:
    """Compare the `claimed` logits with the baseline's evaluation of `setup.model`.

    The plain pass is the baseline's own: its padding, its loop, fp32, no autocast. What it can't do with the
    contender's model is the record's `problem`.
    """
    count = min(CHECKED_WINDOWS, len(windows))
    numbers = np.unique(np.linspace(0, len(windows) - 1, count).round().astype(np.int64))
    dtype = forward_dtype(setup)
    # accelerate sets `forward` on a model that it trains in bf16, with autocast around it, and leaves it there;
    # `_original_forward` tells that it has. That one may be wrapped too, so the class's own is taken meanwhile.
    own = vars(setup.model)
    wrapper = own.pop("forward", None) if "_original_forward" in own else None
    try:
        plain = build_baseline(config, model=setup.model, pad_id=pad_id, seed=setup.seed, device=setup.device)
        sample = windows.select(numbers)
        given = evaluate_in_batches(replace(plain, compute_dtype=torch.float32), sample)
        taken = tuple(values[numbers] for values in claimed)
        error = logits_error(sample, given, taken, per_token=setup.task.logits_per_token)
    except Exception as failure:  # a contender's model may refuse a plain pass in any way
        problem = f"a plain pass over the model fails: {type(failure).__name__}: {failure}"
        return EvaluationCheckRecord(windows=len(numbers), error=None, dtype=dtype, problem=problem)
    finally:
        if wrapper is not None:
            own["forward"] = wrapper
    return EvaluationCheckRecord(windows=len(numbers), error=error, dtype=dtype)


def logits_error(windows: Windows, reference: Logits, claimed: Logits, *, per_token: bool = True) -> float:
    """Return ‖claimed − reference‖ ÷ ‖reference‖ over all logits, each window's mean taken out first.

    Softmax and the choice of an answer don't see a constant, so it doesn't count. Where there is a logit for each token
    those of the window's own count, and arrays may differ in width as long as all windows fit.
    """
    differences, norms = [], []
    for rows, claimed_rows in zip(reference, claimed, strict=True):
        for row, length in enumerate(windows.lengths):
            count = length if per_token else rows.shape[1]
            baseline, contender = (values[row, :count].astype(np.float64) for values in (rows, claimed_rows))
            baseline, contender = baseline - baseline.mean(), contender - contender.mean()
            differences.append(float(np.sum((contender - baseline) ** 2)))
            norms.append(float(np.sum(baseline**2)))
    return float(np.sqrt(sum(differences) / max(sum(norms), 1e-300)))
