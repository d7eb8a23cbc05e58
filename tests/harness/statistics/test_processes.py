"""Speedups from several processes on either side: what a process's luck does, simulated with fixed seeds.

Blocks scatter by 2.5 % around their process, processes by 1 or 2 % around their program.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.statistics.paired import ratio_of_logs
from harness.statistics.processes import (
    PRIOR_DEVIATION,
    against_restarts,
    between_processes,
    restarts_alone,
)

RUNS = 600
THREE_ERRORS = 3 * math.sqrt(0.05 * 0.95 / RUNS)
NOISE = 0.025


def blocks_of(rng, mean, count, correlation=0.0):
    noise = rng.normal(0.0, NOISE, size=count)
    for i in range(1, count):
        noise[i] = correlation * noise[i - 1] + math.sqrt(1 - correlation**2) * noise[i]
    return ratio_of_logs(mean + noise)


def run(rng, *, truth=0.0, blocks=8, processes=1, restarts=3, between=0.01, correlation=0.0, live=0.0):
    """One contender and A/A of a run, beside a live baseline of its own luck and, with `live`, its own age."""
    live = rng.normal(live, between)
    own = [blocks_of(rng, truth - rng.normal(0.0, between) + live, blocks, correlation) for _ in range(processes)]
    others = [blocks_of(rng, live - rng.normal(0.0, between), 8, correlation) for _ in range(restarts)]
    return own, others


def results(**settings):
    rng, found = np.random.default_rng(7), []
    for _ in range(RUNS):
        own, restarts = run(rng, **settings)
        between = between_processes([restarts, own])
        found.append((against_restarts(own, restarts, between), restarts_alone(restarts, between)))
    return found


def coverage(found, truth=0.0):
    return np.mean([math.log(ratio.low) <= truth <= math.log(ratio.high) for ratio, _ in found])


@pytest.mark.parametrize("blocks", [5, 8, 20, 40])
@pytest.mark.parametrize("processes", [1, 3])
def test_intervals_cover_the_truth_whatever_the_luck_of_the_processes(blocks, processes):
    assert coverage(results(truth=0.1, blocks=blocks, processes=processes), 0.1) >= 0.95 - THREE_ERRORS


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_twice_as_unlike_as_expected_cost_a_few_points_of_coverage(processes):
    assert coverage(results(processes=processes, between=0.02)) >= 0.90 - THREE_ERRORS


def test_blocks_that_resemble_their_neighbours_are_respected():
    assert coverage(results(correlation=0.5)) >= 0.93 - THREE_ERRORS


def test_the_age_of_the_live_baseline_cancels():
    aged, alike = results(live=-0.05), results()
    for (one, one_floor), (other, other_floor) in zip(aged, alike, strict=True):
        assert one.estimate == pytest.approx(other.estimate)
        assert one_floor.high == pytest.approx(other_floor.high)


def test_the_luck_of_a_process_is_in_the_interval_of_one_process_and_averaged_out_in_several():
    of_blocks = [ratio_of_logs(np.random.default_rng(k).normal(0.0, NOISE, size=100)) for k in range(4)]
    between = between_processes([])
    one, three = (against_restarts(of_blocks[:n], of_blocks[3:] * 3, between) for n in (1, 3))
    assert one.log_standard_error > PRIOR_DEVIATION > of_blocks[0].log_standard_error
    assert three.log_standard_error < 0.8 * one.log_standard_error


def test_claims_of_a_difference_where_there_is_none_are_no_more_than_stated():
    assert np.mean([ratio.low > 1.0 for ratio, _ in results()]) <= 0.025 + THREE_ERRORS
    assert np.mean([ratio.low > 1.01 for ratio, _ in results(between=0.02)]) <= 0.025 + THREE_ERRORS


def test_three_short_restarts_know_where_equals_lie_to_three_percent():
    floors = [floor.high - 1.0 for _, floor in results()]
    assert np.quantile(floors, 0.95) <= 0.03
    assert np.median(floors) <= 0.02


def test_a_single_restart_still_gives_an_interval_that_covers_and_is_wider():
    one, three = results(restarts=1), results()
    assert coverage(one) >= 0.95 - THREE_ERRORS
    assert np.median([r.log_half_width for r, _ in one]) > 1.15 * np.median([r.log_half_width for r, _ in three])


def test_without_restarts_the_live_baseline_is_one_process_itself():
    rng = np.random.default_rng(8)
    ratios = [against_restarts(run(rng)[0], [], between_processes([])) for _ in range(RUNS)]
    assert np.mean([ratio.low <= 1.0 <= ratio.high for ratio in ratios]) >= 0.95 - THREE_ERRORS
    assert against_restarts([], [], between_processes([])) is None
    assert restarts_alone([], between_processes([])) is None


def test_processes_that_lie_far_apart_are_believed_and_equal_ones_only_halfway():
    rng = np.random.default_rng(9)
    apart = between_processes([[blocks_of(rng, mean, 40) for mean in (-0.1, 0.0, 0.1)]])
    equal = between_processes([[blocks_of(rng, 0.0, 40) for _ in range(3)]])
    assert math.sqrt(apart.variance) > 0.05
    assert 0.4 * PRIOR_DEVIATION < math.sqrt(equal.variance) <= PRIOR_DEVIATION
    assert between_processes([]).variance == PRIOR_DEVIATION**2
    many = between_processes([[blocks_of(rng, 0.0, 40) for _ in range(3)] for _ in range(10)])
    assert many.degrees > 2 * equal.degrees, "every contender with several processes tells how far they lie apart"


def test_sixteen_contenders_that_change_nothing_are_told_apart_no_more_often_than_stated():
    rng, excluded, runs = np.random.default_rng(10), 0, 60
    for _ in range(runs):
        live = rng.normal(-0.007, 0.008)
        restarts, *others = (
            [blocks_of(rng, live - rng.normal(0.0, 0.008), 8) for _ in range(count)] for count in (3, *[1] * 16)
        )
        between = between_processes([restarts])
        ratios = [against_restarts(own, restarts, between) for own in others]
        excluded += sum(not ratio.low <= 1.0 <= ratio.high for ratio in ratios)
    assert excluded / (16 * runs) <= 0.05
