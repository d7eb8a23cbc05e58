"""Scores beside the baseline's, and how long until the model is as good as the baseline's of the same seed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.analysis.evidence.job import TimeToScore, compose_job, time_to_score
from harness.analysis.evidence.quality import Difference, compare_scores
from harness.analysis.evidence.speed import SpeedEvidence, find_noise_floor, find_restarts, summarise_speed
from harness.analysis.evidence.trials import sort_out
from harness.records.store import load_run
from harness.records.trial import BASELINE, EpochRecord, MetricRecord, ScoringRecord, TrialRecord
from harness.statistics.noninferiority import assess

MARGIN = 1.0


class Recorded:
    """Jobs and segments of a baseline and a contender, 3 epochs each."""

    def __init__(self, run: Path) -> None:
        loaded = load_run(run)
        baseline, contender = sort_out(loaded)[BASELINE], sort_out(loaded)["amp_bf16"]
        self.baseline, self.contender = baseline.jobs, contender.jobs
        restarts = find_restarts([baseline.timed, contender.timed])
        self.speed: SpeedEvidence = summarise_speed(contender.timed, restarts)
        self.floor = find_noise_floor(restarts)

    def time(self, baseline: list[TrialRecord], contender: list[TrialRecord]) -> TimeToScore | None:
        everyone = [*baseline, *contender]
        job = compose_job(baseline, contender, self.speed, self.floor, everyone)
        return time_to_score("f1", baseline, contender, job, self.speed, margin=MARGIN)


@pytest.fixture
def jobs(make_run: Any) -> Recorded:
    return Recorded(make_run())


def with_f1(job: TrialRecord, *values: float) -> TrialRecord:
    epochs = zip(job.epochs, values, strict=True)
    return replace(job, epochs=tuple(replace(epoch, scores={"f1": f1}) for epoch, f1 in epochs))


def test_a_seed_below_the_mean_of_all_is_held_against_its_own_end(jobs: Recorded) -> None:
    baseline = [with_f1(jobs.baseline[0], 20.0, 35.0, 46.0), with_f1(jobs.baseline[1], 15.0, 30.0, 40.0)]
    contender = [with_f1(jobs.contender[0], 30.0, 45.5, 47.0), with_f1(jobs.contender[1], 20.0, 39.5, 41.0)]
    time = jobs.time(baseline, contender)
    assert time.target == pytest.approx(42.0)
    assert time.baseline_epochs == (3, 3)
    assert time.contender_epochs == (2, 2)
    assert time.speedup > 1.0


def test_who_stays_below_its_own_seed_never_gets_there(jobs: Recorded) -> None:
    baseline = [with_f1(jobs.baseline[0], 20.0, 35.0, 46.0), with_f1(jobs.baseline[1], 15.0, 30.0, 40.0)]
    contender = [with_f1(jobs.contender[0], 30.0, 43.0, 44.0), with_f1(jobs.contender[1], 20.0, 39.5, 44.0)]
    time = jobs.time(baseline, contender)
    assert time.contender_epochs == (None, 2)
    assert (time.contender_s, time.speedup) == (None, None)


def test_seeds_that_only_one_of_them_has_do_not_count(jobs: Recorded) -> None:
    baseline = [with_f1(jobs.baseline[0], 20.0, 35.0, 46.0), with_f1(jobs.baseline[1], 15.0, 30.0, 40.0)]
    time = jobs.time(baseline, [with_f1(jobs.contender[1], 20.0, 39.5, 41.0)])
    assert (time.target, time.baseline_epochs, time.contender_epochs) == (39.0, (3,), (2,))
    assert jobs.time(baseline[:1], jobs.contender[1:]) is None


SCORING = ScoringRecord(metrics=(MetricRecord(name="f1", title="F1"),), headline="f1")


def scored(seed: int, **scores: float) -> TrialRecord:
    """Return a job whose first epoch scored 0 and whose last these."""
    epochs = tuple(
        EpochRecord(epoch=number, train_time_s=1.0, train_loss=1.0, evaluation_time_s=1.0, scores=values)
        for number, values in enumerate((dict.fromkeys(scores, 0.0), scores), start=1)
    )
    return TrialRecord(contender="x", kind="job", seed=seed, status="done", epochs=epochs)


def compare(baseline: list[TrialRecord], contender: list[TrialRecord], quality: Any = None) -> Difference | None:
    return compare_scores(SCORING, baseline, contender, quality).get("f1")


def test_the_difference_takes_the_last_epoch_of_paired_seeds_only() -> None:
    baseline = [scored(0, f1=50.0), scored(1, f1=52.0)]
    contender = [scored(0, f1=51.0), scored(1, f1=50.0), scored(7, f1=99.0)]
    result = compare(baseline, contender)
    assert (result.baseline, result.contender, result.difference) == (51.0, 50.5, -0.5)
    assert (result.low, result.high) == (None, None)
    value = assess(np.full((2, 50), -0.5), margin=1.0, alpha=0.05)
    assert compare(baseline, contender, {"f1": value}).low == value.low


def test_a_score_without_a_baseline_has_a_value_and_no_difference() -> None:
    value = assess(np.full((2, 50), -0.5), margin=1.0, alpha=0.05)
    result = compare([], [scored(0, f1=51.0)], {"f1": value})
    assert (result.contender, result.baseline, result.difference, result.low) == (51.0, None, None, None)


def test_a_score_that_was_not_measured_is_left_out() -> None:
    assert compare([scored(0)], [scored(0, em=1.0)]) is None
    assert compare([], [scored(0, f1=math.nan)]) is None
