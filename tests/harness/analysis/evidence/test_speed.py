"""The noise floor, and how spoilt blocks are told."""

from __future__ import annotations

import numpy as np

from harness.analysis.evidence.speed import LEAST_FLOOR, SpeedEvidence, find_noise_floor, group_reasons
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
    assert find_noise_floor(evidence(noise=NOISE / 100)).floor == LEAST_FLOOR
    assert find_noise_floor(evidence(training=1.03)).floor > 0.03


def test_reasons_that_differ_in_numbers_only_are_said_once():
    reasons = ["other processes used 0.31 of 2 cores", "0.02 GiB were swapped", "other processes used 0.6 of 2 cores"]
    assert group_reasons(reasons) == (
        "other processes used 0.31 of 2 cores (in 2 blocks alike)",
        "0.02 GiB were swapped",
    )
