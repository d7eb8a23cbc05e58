"""The published reference: what others measured with this experiment, to stand beside our numbers."""

from __future__ import annotations

from typing import Any

from harness.records.trial import ScoringRecord
from reports.document import Text, strong

EPOCHS: tuple[dict[str, float], ...] = (
    {"train_time_s": 15.0, "train_loss": 0.19, "em": 16.4, "f1": 49.43},
    {"train_time_s": 15.0, "train_loss": 0.10, "em": 21.6, "f1": 56.69},
    {"train_time_s": 15.0, "train_loss": 0.07, "em": 16.4, "f1": 53.30},
    {"train_time_s": 15.0, "train_loss": 0.06, "em": 19.2, "f1": 51.44},
    {"train_time_s": 15.0, "train_loss": 0.08, "em": 19.6, "f1": 53.52},
)
"""In the order of training; validation EM and F1 in percent."""

TRAINING_S = sum(epoch["train_time_s"] for epoch in EPOCHS)

TOTAL_S = 336.0
"""The whole job."""

TRAINING_SHARE = TRAINING_S / TOTAL_S

WHAT = "DistilBERT, SQuAD v1.1 train[:1000] and validation[:250], 5 epochs; hardware not stated"

_SAME: tuple[tuple[str, str, Any, str], ...] = (
    ("model", "source", "distilbert-base-uncased", "model"),
    ("model", "weights", "pretrained", "weights"),
    ("data", "source", "hub", "data source"),
    ("data", "train_size", 1000, "training questions"),
    ("data", "validation_size", 250, "validation questions"),
    ("training", "epochs", 5, "epochs"),
)


def published_epochs(scoring: ScoringRecord) -> tuple[dict[str, float], ...]:
    """Return the published epochs; none for a task of other metrics."""
    return EPOCHS if all(metric.name in EPOCHS[0] for metric in scoring.metrics) else ()


def comparability(config: dict[str, Any]) -> Text:
    """Say plainly whether our numbers can be held against the published ones."""
    other = "; ".join(
        f"{words} {config[part][key]} instead of {wanted}"
        for part, key, wanted, words in _SAME
        if config[part][key] != wanted
    )
    if other:
        not_comparable = strong("Not comparable with this run")
        return (not_comparable, f" ({other}): the published numbers are for orientation only.")
    return (
        "Model, data and epochs of this run are the same. The reference states neither its hardware nor its batch size "
        "and window length, so EM and F1 may be compared with care, and times only as an order of magnitude."
    )
