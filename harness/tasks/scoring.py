"""What the scores of all tasks have in common."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import DataError
from harness.records.trial import ExamplePrediction
from harness.tasks.task import Scored


def mean_percent(scores: Sequence[float]) -> float:
    """Return the mean of scores between 0 and 1 in percent, as SQuAD's official script computes it; 0.0 of none."""
    return 100.0 * sum(scores) / len(scores) if scores else 0.0


def summarise_scores(ids: Sequence[str], texts: Sequence[str], scores: dict[str, list[float]]) -> Scored:
    """Return the means in percent, by metric, and each answer with its own scores, 0 to 1."""
    rows = [
        ExamplePrediction(id=key, text=text, scores=dict(zip(scores, values, strict=True)))
        for key, text, *values in zip(ids, texts, *scores.values(), strict=True)
    ]
    return {name: mean_percent(values) for name, values in scores.items()}, rows


def check_answers(ids: Sequence[str], texts: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """DataError if the three differ in length, are empty, or an id comes twice: that would shift or drop scores."""
    if not len(ids) == len(texts) == len(references) > 0:
        raise DataError(
            f"{len(texts)} answers and {len(references)} references for {len(ids)} examples",
            remedy="give one of each per example, at least one",
        )
    if len(set(ids)) < len(ids):
        raise DataError("ids of examples are not unique", remedy="give each example its own id")
