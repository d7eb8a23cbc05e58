"""Does quality hold? EM and F1 of a contender against the baseline's, and whether the baseline learned at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from harness.analysis.evidence.summary import QualityName
from harness.config import QualityConfig
from harness.records.store import LoadedTrial
from harness.records.trial import ExamplePrediction
from harness.statistics.noninferiority import NonInferiority, assess, paired_gain

LEARNED_F1_POINTS = 5.0
"""The baseline's F1 must be above the untrained model's by more than this, with its whole interval, for EM and F1 to
say anything about a contender."""

RISING_F1_POINTS = 5.0
"""Gain of F1 in the last epoch from which the baseline counts as still rising."""

LEAST_SEEDS = 2
"""With one seed there is no telling what another would have given, so EM and F1 can't be certified."""


@dataclass(frozen=True, kw_only=True)
class QualityEvidence:
    """EM and F1 of a contender against the baseline, paired by seed and question."""

    em: NonInferiority
    f1: NonInferiority


@dataclass(frozen=True, kw_only=True)
class Learning:
    """Whether the baseline has learned, so that a loss of quality could be seen at all."""

    gain_f1: float
    """Over the untrained model, in points, mean over seeds and questions."""
    gain_low: float
    """Lower 95 % bound of it (one-sided)."""
    last_epoch_f1: float | None
    """F1 of the last epoch minus that of the one before; None with one epoch."""
    vacuous: bool
    """The gate of quality can't say anything."""
    reason: str | None
    """Why, in words; or that the baseline is still rising."""


def assess_quality(
    baseline: Sequence[LoadedTrial], contender: Sequence[LoadedTrial], config: QualityConfig
) -> QualityEvidence | None:
    """Return non-inferiority of EM and F1; None without two questions that both answered with the same seeds."""
    em, f1 = (paired_differences(name, baseline, contender) for name in ("em", "f1"))
    if em is None or f1 is None or em.shape[1] < 2:
        return None
    return QualityEvidence(
        em=assess(em, margin=config.margin_em, alpha=config.alpha),
        f1=assess(f1, margin=config.margin_f1, alpha=config.alpha),
    )


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


def assess_learning(baseline: Sequence[LoadedTrial], alpha: float) -> Learning | None:
    """Compare the baseline's F1 with the untrained model's, question by question; None without both."""
    untrained = next((trial.predictions[0] for trial in baseline if 0 in trial.predictions), None)
    trained = [trial for trial in baseline if trial.predictions and max(trial.predictions) > 0]
    if not untrained or not trained:
        return None
    ids = [row.id for row in untrained]
    before = np.array([[100.0 * row.f1 for row in untrained]] * len(trained))
    scores = [_last_scores("f1", trial) for trial in trained]
    if len(ids) < 2 or any(set(ids) != set(row) for row in scores):
        return None
    after = np.array([[100.0 * row[key] for key in ids] for row in scores])
    gain, low = paired_gain(before, after, alpha=alpha)
    vacuous = low <= LEARNED_F1_POINTS
    trend = last_epoch_gain(trained)
    return Learning(
        gain_f1=gain,
        gain_low=low,
        last_epoch_f1=trend,
        vacuous=vacuous,
        reason=_learning_words(gain, low, trend, vacuous=vacuous),
    )


def last_epoch_gain(baseline: Sequence[LoadedTrial]) -> float | None:
    """Return the mean change of F1 in the last epoch; None with fewer than two epochs."""
    changes = []
    for trial in baseline:
        values = [epoch.f1 for epoch in trial.record.epochs if epoch.f1 is not None]
        if len(values) > 1:
            changes.append(values[-1] - values[-2])
    return fmean(changes) if changes else None


def _learning_words(gain: float, low: float, trend: float | None, *, vacuous: bool) -> str | None:
    if vacuous:
        return (
            f"the baseline has hardly learned: its F1 is {gain:+.1f} points from the untrained model's (at least "
            f"{low:+.1f} with 95 % confidence, {LEARNED_F1_POINTS:g} are asked for), so EM and F1 say nothing about "
            "what a contender may have spoilt"
        )
    if trend is not None and trend > RISING_F1_POINTS:
        return (
            f"the baseline is still rising: its F1 gained {trend:.1f} points in the last epoch, so a contender that "
            "is a little behind or ahead of it shows as a large difference"
        )
    return None
