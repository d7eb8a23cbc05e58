"""How sure a difference of EM or F1 is: bootstrap intervals over seeds and examples, paired by both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.analysis.statistics import QualityName
from harness.records import ExamplePrediction
from harness.storage import LoadedTrial

CONFIDENCE = 0.95
RESAMPLES = 4000
_CHUNK_VALUES = 4_000_000
"""Resampled weights held at a time, which bounds the memory to some 30 MB."""


def difference_interval(
    name: QualityName, baseline: Sequence[LoadedTrial], contender: Sequence[LoadedTrial]
) -> tuple[float, float] | None:
    """Return the interval of contender minus baseline after the last epoch, in points; None if it can't be had.

    Needs the scores of at least two questions that both answered with the same seeds.
    """
    differences = paired_differences(name, baseline, contender)
    return None if differences is None or differences.shape[1] < 2 else pigeonhole_interval(differences)


def paired_differences(
    name: QualityName, baseline: Sequence[LoadedTrial], contender: Sequence[LoadedTrial]
) -> np.ndarray | None:
    """Return contender minus baseline in points, float64 (seeds, examples), over what both have; None if nothing."""
    ours = {trial.record.seed: _last_scores(name, trial) for trial in baseline}
    theirs = {trial.record.seed: _last_scores(name, trial) for trial in contender}
    seeds = [seed for seed in sorted(ours) if seed in theirs]
    if not seeds:
        return None
    shared = set.intersection(*(set(scores[seed]) for seed in seeds for scores in (ours, theirs)))
    ids = [example for example in ours[seeds[0]] if example in shared]
    rows = [[theirs[seed][example] - ours[seed][example] for example in ids] for seed in seeds]
    return 100.0 * np.array(rows, dtype=np.float64) if ids else None


def _last_scores(name: QualityName, trial: LoadedTrial) -> dict[str, float]:
    """Return the score of each question after the last epoch, 0 to 1."""
    last: list[ExamplePrediction] = trial.predictions[max(trial.predictions)] if trial.predictions else []
    return {row.id: row.em if name == "em" else row.f1 for row in last}


def pigeonhole_interval(
    differences: np.ndarray, *, confidence: float = CONFIDENCE, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile interval of the mean of `differences`, float (seeds, examples), in its unit.

    Rows and columns are drawn anew independently of each other, as both are samples: the pigeonhole bootstrap of
    Owen 2007 (arXiv 0712.1111), which errs to the wide side. One row is kept as it is: the interval then covers the
    choice of the examples, and not what another seed would have given. The same input gives the same interval.
    """
    rng = np.random.default_rng(seed)
    rows, columns = differences.shape
    means = []
    for first in range(0, resamples, max(1, _CHUNK_VALUES // columns)):
        count = min(resamples - first, max(1, _CHUNK_VALUES // columns))
        column_weights = rng.multinomial(columns, np.full(columns, 1 / columns), size=count)
        row_weights = rng.multinomial(rows, np.full(rows, 1 / rows), size=count)
        means.append(((row_weights @ differences) * column_weights).sum(axis=1) / (rows * columns))
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(np.concatenate(means), [tail, 1.0 - tail])
    return float(low), float(high)
