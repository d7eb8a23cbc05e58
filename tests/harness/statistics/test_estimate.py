"""Speedups and differences against values worked out by hand."""

from __future__ import annotations

import math

import pytest

from harness.analysis.evidence import summary as statistics
from harness.records.trial import EpochRecord, StepRecord, TrialRecord


def job(seed: int, epoch_times_s: list[float], job_time_s: float | None = None, f1: float | None = 50.0) -> TrialRecord:
    epochs = tuple(
        EpochRecord(epoch=i, train_time_s=time_s, train_loss=1.0, evaluation_time_s=1.0, scores={"f1": f1})
        for i, time_s in enumerate(epoch_times_s, start=1)
    )
    return TrialRecord(contender="x", kind="job", seed=seed, status="done", epochs=epochs, job_time_s=job_time_s)


def test_step_speedup_pairs_epochs_of_the_same_seed() -> None:
    baseline = [job(0, [4.0, 2.0]), job(1, [9.0, 9.0])]
    contender = [job(1, [3.0, 9.0]), job(0, [2.0, 1.0])]
    result = statistics.step_speedup(statistics.pair_by_seed(baseline, contender))
    # ratios 2, 2 (seed 0) and 3, 1 (seed 1): geometric mean of 2·2·3·1 = 12
    assert result.estimate == pytest.approx(12 ** (1 / 4))
    assert (result.low, result.high) == (1.0, 3.0)


def test_job_speedup_is_the_geometric_mean_with_the_range_over_seeds() -> None:
    pairs = [(job(0, [1.0], 10.0), job(0, [1.0], 20.0)), (job(1, [1.0], 10.0), job(1, [1.0], 5.0))]
    result = statistics.job_speedup(pairs)
    assert result.estimate == pytest.approx(1.0)
    assert (result.low, result.high) == (0.5, 2.0)


def test_one_seed_has_no_range() -> None:
    result = statistics.job_speedup([(job(0, [1.0], 10.0), job(0, [1.0], 5.0))])
    assert (result.estimate, result.low, result.high) == (2.0, None, None)


@pytest.mark.parametrize("bad", [None, 0.0, -1.0, math.nan, math.inf])
def test_times_that_can_not_be_divided_are_left_out(bad: float | None) -> None:
    assert statistics.job_speedup([(job(0, [1.0], 10.0), job(0, [1.0], bad))]) is None
    assert statistics.job_speedup([(job(0, [1.0], bad), job(0, [1.0], 10.0))]) is None


def test_seeds_without_partner_are_left_out() -> None:
    pairs = statistics.pair_by_seed([job(0, [1.0]), job(2, [1.0])], [job(1, [1.0]), job(2, [1.0])])
    assert [(ours.seed, theirs.seed) for ours, theirs in pairs] == [(2, 2)]


def test_epochs_without_partner_are_left_out() -> None:
    result = statistics.step_speedup([(job(0, [4.0, 4.0, 4.0]), job(0, [2.0]))])
    assert (result.estimate, result.low) == (pytest.approx(2.0), None)


def test_quality_difference_takes_the_last_epoch_of_paired_seeds_only() -> None:
    baseline = [job(0, [1.0], f1=50.0), job(1, [1.0], f1=52.0)]
    contender = [job(0, [1.0], f1=51.0), job(1, [1.0], f1=50.0), job(7, [1.0], f1=99.0)]
    result = statistics.compare_quality("f1", baseline, contender)
    assert (result.baseline, result.contender, result.difference) == (51.0, 50.5, -0.5)
    assert (result.low, result.high) == (None, None)
    assert statistics.compare_quality("f1", baseline, contender, (-3.0, 2.0)).low == -3.0


def test_quality_without_baseline_has_a_value_and_no_difference() -> None:
    result = statistics.compare_quality("f1", [], [job(0, [1.0], f1=51.0)])
    assert (result.contender, result.baseline, result.difference) == (51.0, None, None)


def test_quality_that_was_not_measured_is_none() -> None:
    assert statistics.compare_quality("em", [job(0, [1.0])], [job(0, [1.0])]) is None
    assert statistics.compare_quality("f1", [], [job(0, [1.0], f1=math.nan)]) is None


def test_throughput_is_over_all_steps() -> None:
    steps = [
        StepRecord(epoch=1, step=i, time_s=time_s, loss=1.0, learning_rate=1e-4, gradient_norm=1.0, windows=4,
                   useful_tokens=100, computed_tokens=200, token_id_sum=9, applied=True)
        for i, time_s in enumerate([1.0, 0.5, 0.5], start=1)
    ]  # fmt: skip
    result = statistics.measure_throughput(steps)
    assert result.median_step_time_ms == 500.0
    assert (result.windows_per_s, result.useful_tokens_per_s, result.computed_tokens_per_s) == (6.0, 150.0, 300.0)
    assert statistics.measure_throughput([]) is None
