"""How long until the model is as good as the baseline's of the same seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.evidence.job import compose_job
from harness.analysis.evidence.speed import SpeedEvidence, find_noise_floor, summarise_speed
from harness.analysis.evidence.time_to_quality import TimeToScore, time_to_score
from harness.analysis.evidence.trials import sort_out
from harness.records.store import load_run
from harness.records.trial import BASELINE, TrialRecord

MARGIN = 1.0


class Recorded:
    """Jobs and segments of a baseline and a contender, 3 epochs each."""

    def __init__(self, run: Path) -> None:
        loaded = load_run(run)
        baseline, contender = sort_out(loaded, BASELINE), sort_out(loaded, "amp_bf16")
        self.baseline, self.contender = baseline.jobs, contender.jobs
        self.speed: SpeedEvidence = summarise_speed(contender.beside.speed)
        self.floor = find_noise_floor(summarise_speed(baseline.beside.speed))

    def time(self, baseline: list[TrialRecord], contender: list[TrialRecord]) -> TimeToScore | None:
        everyone = [*baseline, *contender]
        job = compose_job(baseline, contender, self.speed, self.floor, everyone, None)
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
