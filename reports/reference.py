"""The published reference: what others measured with this experiment, to stand beside our numbers."""

from __future__ import annotations

from typing import Any

EPOCHS = (
    (1, 15.0, 0.19, 16.4, 49.43),
    (2, 15.0, 0.10, 21.6, 56.69),
    (3, 15.0, 0.07, 16.4, 53.30),
    (4, 15.0, 0.06, 19.2, 51.44),
    (5, 15.0, 0.08, 19.6, 53.52),
)
"""Epoch, training time in seconds, training loss, validation EM and F1 in percent."""

COLUMNS = {"train_time_s": 1, "train_loss": 2, "em": 3, "f1": 4}
"""Where an epoch's values stand in a row."""

TOTAL_S = 336.0
"""The whole job."""

TRAINING_SHARE = sum(row[1] for row in EPOCHS) / TOTAL_S

WHAT = "DistilBERT, SQuAD v1.1 train[:1000] and validation[:250], 5 epochs; hardware not stated"

_SAME: tuple[tuple[str, str, Any, str], ...] = (
    ("model", "source", "distilbert-base-uncased", "model"),
    ("model", "weights", "pretrained", "weights"),
    ("data", "source", "hub", "data source"),
    ("data", "train_size", 1000, "training questions"),
    ("data", "validation_size", 250, "validation questions"),
    ("training", "epochs", 5, "epochs"),
)


def differences(config: dict[str, Any]) -> list[str]:
    """Return what of the configuration is not the reference's, in words."""
    return [
        f"{words} {config[part][key]} instead of {wanted}"
        for part, key, wanted, words in _SAME
        if config[part][key] != wanted
    ]


NOT_COMPARABLE = "Not comparable with this run"


def comparability(config: dict[str, Any]) -> str:
    """Say plainly whether our numbers can be held against the published ones."""
    other = differences(config)
    if other:
        return f"{NOT_COMPARABLE} ({'; '.join(other)}): the published numbers are for orientation only."
    return (
        "Model, data and epochs of this run are the same. The reference states neither its hardware nor its batch size "
        "and window length, so EM and F1 may be compared with care, and times only as an order of magnitude."
    )
