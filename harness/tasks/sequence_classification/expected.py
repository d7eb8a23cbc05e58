"""What a model's labels would score on average if they were drawn from its distribution over the classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.tasks.sequence_classification.examples import Example


def expect_scores(logits: np.ndarray, examples: Sequence[Example]) -> list[dict[str, float]]:
    """Return "expected_accuracy", the probability of the right class, and its "log_likelihood", for each example.

    Macro F1 has none: no single example has an F1.
    """
    right = [example.classes.index(example.label) for example in examples]
    values = logits.astype(np.float64)
    values -= values.max(axis=1, keepdims=True)
    likelihoods = values[np.arange(len(right)), right] - np.log(np.exp(values).sum(axis=1))
    return [{"expected_accuracy": float(np.exp(value)), "log_likelihood": float(value)} for value in likelihoods]
