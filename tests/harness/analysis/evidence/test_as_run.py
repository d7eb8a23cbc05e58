"""Jobs as they ran, paired by seed, against values worked out by hand."""

from __future__ import annotations

import math

import pytest

from harness.analysis.evidence.job import jobs_as_run
from harness.analysis.evidence.parts import pair_by_seed
from harness.records.trial import EpochRecord, TrialRecord


def job(seed: int, epoch_times_s: list[float], job_time_s: float | None = None, f1: float | None = 50.0) -> TrialRecord:
    epochs = tuple(
        EpochRecord(epoch=i, train_time_s=time_s, train_loss=1.0, evaluation_time_s=1.0, scores={"f1": f1})
        for i, time_s in enumerate(epoch_times_s, start=1)
    )
    return TrialRecord(contender="x", kind="job", seed=seed, status="done", epochs=epochs, job_time_s=job_time_s)


def test_jobs_as_run_are_the_geometric_mean_with_the_range_over_seeds() -> None:
    pairs = [(job(0, [1.0], 10.0), job(0, [1.0], 20.0)), (job(1, [1.0], 10.0), job(1, [1.0], 5.0))]
    result = jobs_as_run(pairs)
    assert result.estimate == pytest.approx(1.0)
    assert (result.low, result.high) == (0.5, 2.0)


def test_one_seed_has_no_range() -> None:
    result = jobs_as_run([(job(0, [1.0], 10.0), job(0, [1.0], 5.0))])
    assert (result.estimate, result.low, result.high) == (2.0, None, None)


@pytest.mark.parametrize("bad", [None, 0.0, -1.0, math.nan, math.inf])
def test_times_that_can_not_be_divided_are_left_out(bad: float | None) -> None:
    assert jobs_as_run([(job(0, [1.0], 10.0), job(0, [1.0], bad))]) is None
    assert jobs_as_run([(job(0, [1.0], bad), job(0, [1.0], 10.0))]) is None


def test_seeds_without_partner_are_left_out() -> None:
    pairs = pair_by_seed([job(0, [1.0]), job(2, [1.0])], [job(1, [1.0]), job(2, [1.0])])
    assert [(baseline.seed, contender.seed) for baseline, contender in pairs] == [(2, 2)]
