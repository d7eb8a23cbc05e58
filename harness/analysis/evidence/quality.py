"""Does quality hold? Scores of a contender against the baseline's, and whether the baseline learned at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from harness.analysis.evidence.parts import Jobs, last_score, pair_by_seed, quality_set_score
from harness.statistics.estimate import Estimate, mean_or_none, signed_words, value_range
from harness.statistics.noninferiority import NonInferiority, assess, mean_interval

if TYPE_CHECKING:
    from harness.records.store import LoadedTrial
    from harness.records.trial import ExamplePrediction, RunRecord, ScoringRecord

LEARNED_POINTS = 5.0
"""The baseline's headline score must be above the untrained model's by more than this, with its whole interval, for
scores to say anything about a contender."""

RISING_POINTS = 5.0
"""Gain of it in the last epoch from which the baseline counts as still rising."""

LEAST_SEEDS = 2
"""With one seed there is no telling what another would have given, so no score can be certified."""


QualityEvidence = dict[str, NonInferiority]
"""Scores of a contender against the baseline, paired by seed and example, by the metric's name."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A score of the baseline and of a contender, in percent; the difference in points."""

    baseline: float | None
    """Mean over the seeds."""
    contender: float | None
    """Mean over the seeds."""
    difference: float | None
    """Contender minus baseline."""
    low: float | None
    """Lower bound of the difference's 95 % interval; None without the scores of single questions."""
    high: float | None
    contender_low: float | None
    """The contender's lowest value of any seed; None with one seed."""
    contender_high: float | None


@dataclass(frozen=True, kw_only=True)
class Learning:
    """Whether the baseline has learned, so that a loss of quality could be seen at all."""

    gain: float
    """Of the headline score over the untrained model, in points, mean over seeds and examples."""
    gain_low: float
    """Lower 95 % bound of it (one-sided), over the examples."""
    examples: int = 0
    """That were answered untrained and trained; 0 in an analysis of an earlier version."""
    last_epoch_gain: float | None
    """In the last epoch over the one before; None with one epoch."""
    vacuous: bool
    """The gate of quality can't say anything."""
    reason: str | None
    """Why, in words; or that the baseline is still rising."""


def assess_quality(
    run: RunRecord, baseline: Sequence[LoadedTrial], contender: Sequence[LoadedTrial]
) -> QualityEvidence | None:
    """Return non-inferiority by metric; None without two examples that both answered with the same seeds.

    On the quality set where every job answered it, else on the validation set.
    """
    found = {}
    config = run.config.quality
    on_quality_set = _all_answered(baseline, contender)
    for name in (metric.name for metric in run.scoring.metrics):
        differences = paired_differences(name, baseline, contender, on_quality_set=on_quality_set)
        if differences is None or differences.shape[1] < 2:
            return None
        found[name] = assess(differences, margin=config.margin_of(name), alpha=config.alpha)
    return found


def measure_narrowing(
    baseline: Sequence[LoadedTrial], contender: Sequence[LoadedTrial], quality: QualityEvidence | None
) -> dict[str, float]:
    """Return by what share the quality set makes the interval of each score narrower than the validation set would."""
    found = {}
    for name, value in (quality or {}).items() if _all_answered(baseline, contender) else ():
        alone = paired_differences(name, baseline, contender)
        if alone is not None and alone.shape[1] >= 2:
            without = assess(alone, margin=value.margin, alpha=value.alpha)
            found[name] = 1.0 - (value.high - value.low) / (without.high - without.low)
    return found


def compare_expected(
    run: RunRecord, baseline: Sequence[LoadedTrial], contender: Sequence[LoadedTrial]
) -> dict[str, Estimate]:
    """Return what the models' distributions would score, contender minus baseline in points, by metric.

    These are scores of their own and no better estimates of EM or F1: a loss of those need not show here. Held against
    the difference of the scores as covariates they would hide it (statistics' README).
    """
    found = {}
    on_quality_set = _all_answered(baseline, contender)
    for name in (metric.name for metric in run.scoring.metrics):
        differences = paired_differences(f"expected_{name}", baseline, contender, on_quality_set=on_quality_set)
        if differences is not None and differences.shape[1] >= 2:
            found[name] = mean_interval(differences)
    return found


def _all_answered(baseline: Sequence[LoadedTrial], contender: Sequence[LoadedTrial]) -> bool:
    return all(trial.quality_set for trial in (*baseline, *contender))


def paired_differences(
    name: str, baseline: Sequence[LoadedTrial], contender: Sequence[LoadedTrial], *, on_quality_set: bool = False
) -> np.ndarray | None:
    """Return contender minus baseline in points, float64 (seeds, examples), over what both have; None if nothing."""
    before, after = (
        {trial.record.seed: _scores(name, trial.quality_set if on_quality_set else _last(trial)) for trial in side}
        for side in (baseline, contender)
    )
    seeds = [seed for seed in sorted(before) if seed in after]
    if not seeds:
        return None
    shared = set.intersection(*(set(scores[seed]) for seed in seeds for scores in (before, after)))
    ids = [example for example in before[seeds[0]] if example in shared]
    rows = [[after[seed][example] - before[seed][example] for example in ids] for seed in seeds]
    return 100.0 * np.array(rows, dtype=np.float64) if ids else None


def _last(trial: LoadedTrial) -> list[ExamplePrediction]:
    """Return the answers to the validation set after the last epoch."""
    return trial.predictions[max(trial.predictions)] if trial.predictions else []


def _scores(name: str, rows: Sequence[ExamplePrediction]) -> dict[str, float]:
    """Return the score or covariate `name` of each example that has it."""
    known = ((row.id, (row.scores | row.covariates).get(name)) for row in rows)
    return {key: value for key, value in known if value is not None}


def assess_learning(run: RunRecord, baseline: Sequence[LoadedTrial]) -> Learning | None:
    """Compare the baseline's headline score with the untrained model's, example by example; None without both."""
    untrained = next((trial.predictions[0] for trial in baseline if 0 in trial.predictions), None)
    trained = [trial for trial in baseline if trial.predictions and max(trial.predictions) > 0]
    if not untrained or not trained:
        return None
    metric = run.scoring.headline
    ids = [row.id for row in untrained]
    before = np.array([[100.0 * row.scores[metric] for row in untrained]] * len(trained))
    scores = [_scores(metric, _last(trial)) | _scores(metric, trial.quality_set) for trial in trained]
    if len(ids) < 2 or any(not set(ids) <= set(row) for row in scores):
        return None
    after = np.array([[100.0 * row[key] for key in ids] for row in scores])
    # Of these seeds' models, which the contenders are held against: only the examples are a sample.
    gained = (after - before).mean(axis=0, keepdims=True)
    gain = assess(gained, margin=run.config.quality.margin_of(metric), alpha=run.config.quality.alpha)
    vacuous = gain.bound <= LEARNED_POINTS
    epochs = [[epoch.scores[metric] for epoch in trial.record.epochs if metric in epoch.scores] for trial in trained]
    trend = mean_or_none(scores[-1] - scores[-2] for scores in epochs if len(scores) > 1)
    reason, title = None, run.scoring.headline_title
    if vacuous:
        least = f"at least {signed_words(gain.bound)} with 95 % confidence, {LEARNED_POINTS:g} are asked for"
        reason = (
            f"the baseline has hardly learned: its {title} is {signed_words(gain.difference)} points from the "
            f"untrained model's ({least}), so {run.scoring.titles} say nothing about what a contender may have spoilt"
        )
    elif trend is not None and trend > RISING_POINTS:
        reason = (
            f"the baseline is still rising: its {title} gained {trend:.1f} points in the last epoch, "
            "so a contender that is a little behind or ahead of it shows as a large difference"
        )
    return Learning(
        gain=gain.difference,
        gain_low=gain.bound,
        examples=len(ids),
        last_epoch_gain=trend,
        vacuous=vacuous,
        reason=reason,
    )


def compare_scores(
    scoring: ScoringRecord,
    baseline: Jobs,
    contender: Jobs,
    quality: QualityEvidence | None,
) -> dict[str, Difference]:
    """Return each score of the trained model beside the baseline's, with the interval of the non-inferiority test.

    On the quality set where every job answered it, else on the validation set after the last epoch. With partners,
    means and differences are over the paired seeds only. What the contender has no value of is left out.
    """
    found = {}
    on_quality_set = all(job.quality_set is not None for job in (*baseline, *contender))
    score = quality_set_score if on_quality_set else last_score
    for name in (metric.name for metric in scoring.metrics):
        pairs = [(score(b, name), score(c, name)) for b, c in pair_by_seed(baseline, contender)]
        measured = [(before, after) for before, after in pairs if before is not None and after is not None]
        single = (score(job, name) for job in contender)
        own = [after for _, after in measured] or [value for value in single if value is not None]
        if not own:
            continue
        interval = quality[name] if quality is not None and measured else None
        contender_low, contender_high = value_range(own)
        found[name] = Difference(
            baseline=fmean(before for before, _ in measured) if measured else None,
            contender=fmean(own),
            difference=fmean(after - before for before, after in measured) if measured else None,
            low=None if interval is None else interval.low,
            high=None if interval is None else interval.high,
            contender_low=contender_low,
            contender_high=contender_high,
        )
    return found
