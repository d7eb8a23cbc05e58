"""The noise floor, and how spoilt blocks are told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.analysis.evidence.speed import (
    LEAST_FLOOR,
    SpeedEvidence,
    find_noise_floor,
    measure_throughput,
    summarise_speed,
)
from harness.records.checks import BlockRecord, SpeedRecord
from harness.records.trial import StepRecord
from harness.statistics.paired import ratio_of_logs

NOISE = 0.004 * np.array([1.0, -1.0, -1.0, 1.0, 1.0, -1.0])


def evidence(training=1.0, noise=NOISE):
    return SpeedEvidence(
        training=ratio_of_logs(np.log(training) + noise),
        evaluation=None,
        blocks=6,
        repeats=0,
        spoilt=0,
        contamination=(),
        stopped="",
        same_samples=True,
    )


def test_the_floor_is_the_far_end_of_a_against_a_and_never_below_one_percent():
    assert find_noise_floor(None) is None
    assert find_noise_floor(evidence(noise=NOISE / 100)).share == LEAST_FLOOR
    assert find_noise_floor(evidence(training=1.03)).share > 0.03


def test_reasons_that_differ_in_numbers_only_are_said_once():
    reasons = ["other processes used 0.31 of 2 cores", "0.02 GiB were swapped", "other processes used 0.6 of 2 cores"]
    block = BlockRecord(kind="training", number=1, attempt=1, first="baseline", windows=8, baseline_s=(1.0, 1.0),
                        contender_s=(1.0, 1.0))  # fmt: skip
    blocks = tuple(replace(block, contamination=(reason,)) for reason in reasons)
    assert summarise_speed(SpeedRecord(blocks=blocks, stopped="", settle_s=0.0)).contamination == (
        "other processes used 0.31 of 2 cores (in 2 blocks alike)",
        "0.02 GiB were swapped",
    )


def test_throughput_is_over_all_steps() -> None:
    steps = [
        StepRecord(epoch=1, step=i, time_s=time_s, loss=1.0, learning_rate=1e-4, gradient_norm=1.0, windows=4,
                   useful_tokens=100, computed_tokens=200, token_id_sum=9, applied=True)
        for i, time_s in enumerate([1.0, 0.5, 0.5], start=1)
    ]  # fmt: skip
    result = measure_throughput(steps)
    assert result.median_step_time_ms == 500.0
    assert (result.windows_per_s, result.useful_tokens_per_s, result.computed_tokens_per_s) == (6.0, 150.0, 300.0)
    assert measure_throughput([]) is None
