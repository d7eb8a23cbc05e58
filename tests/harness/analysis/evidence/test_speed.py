"""What timed blocks say: against the baseline's restarts, without what doesn't count, and the noise floor."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.analysis.evidence.speed import (
    LEAST_FLOOR,
    find_noise_floor,
    find_restarts,
    measure_throughput,
    summarise_restarts,
    summarise_speed,
)
from harness.records.checks import BlockRecord, SpeedRecord
from harness.records.trial import StepRecord

COLD = 1.6
"""The first block of a process takes this many times as long, on its side."""

QUIET = 0.0001


def process(rng, *, speedup=1.0, luck=0.0, live=0.0, blocks=8, kind="training", noise=0.02, drift=0.0, cold=True):
    """One process beside the live baseline: four segments a block, the machine drifting all the time."""
    found, now = [], 0
    for number in range(1, blocks + 1 + cold):
        first = "baseline" if number % 2 else "contender"
        times_s = {"baseline": [], "contender": []}
        for place in range(4):
            who = first if place in (0, 3) else ({"baseline", "contender"} - {first}).pop()
            log_s = {"baseline": live, "contender": luck - math.log(speedup)}[who] + rng.normal(0, noise) + drift * now
            times_s[who].append(0.3 * math.exp(log_s) * (COLD if who == "contender" and number == 1 and cold else 1.0))
            now += 1
        found.append(BlockRecord(kind=kind, number=number, attempt=1, first=first, windows=8,
                                 baseline_s=tuple(times_s["baseline"]), contender_s=tuple(times_s["contender"]),
                                 cold=cold and number == 1))  # fmt: skip
    return SpeedRecord(blocks=tuple(found), stopped="enough", settle_s=0.0)


def both_kinds(rng, *, evaluation=1.0, **settings):
    of_training = process(rng, **settings)
    of_evaluation = process(rng, speedup=evaluation, kind="evaluation", noise=settings.get("noise", 0.02))
    return replace(of_training, blocks=of_training.blocks + of_evaluation.blocks)


def restarts_of(rng, count=3, **settings):
    return [both_kinds(rng, **settings) for _ in range(count)]


@pytest.mark.parametrize("blocks", [5, 10, 40])
def test_cold_blocks_drift_and_the_luck_of_processes_leave_the_interval_right(blocks):
    """With 1 % between processes and a machine that slows by 5 % over a block."""
    rng, runs, covered = np.random.default_rng(blocks), 250, 0
    for _ in range(runs):
        live = rng.normal(0.0, 0.01)
        equal = [process(rng, luck=rng.normal(0.0, 0.01), live=live, drift=0.0125) for _ in range(3)]
        own = [process(rng, speedup=1.2, luck=rng.normal(0.0, 0.01), live=live, blocks=blocks, drift=0.0125)]
        ratio = summarise_speed(own, find_restarts([equal, own])).training
        covered += ratio.low <= 1.2 <= ratio.high
    assert covered / runs >= 0.95 - 3 * (0.05 * 0.95 / runs) ** 0.5


def test_a_cold_block_is_no_evidence():
    rng = np.random.default_rng(0)
    restarts, own = restarts_of(rng, noise=QUIET), both_kinds(rng, noise=QUIET)
    found = summarise_speed([own], find_restarts([restarts]))
    assert found.training.estimate == pytest.approx(1.0, abs=0.001)
    assert (found.cold, found.training.blocks) == (2, 8)
    warm = replace(own, blocks=tuple(replace(block, cold=False) for block in own.blocks))
    assert summarise_speed([warm], find_restarts([restarts])).training.estimate < 0.96


def test_a_live_baseline_that_is_faster_than_its_restarts_makes_no_contender_slower():
    rng = np.random.default_rng(1)
    restarts, own = ([process(rng, live=-0.05, noise=QUIET) for _ in range(count)] for count in (3, 1))
    found = find_restarts([restarts, own])
    assert summarise_speed(own, found).training.estimate == pytest.approx(1.0, abs=0.001)
    assert summarise_restarts(restarts, found).training.estimate == 1.0
    assert find_noise_floor(found).live == pytest.approx(math.exp(0.05), rel=0.001)


def test_more_processes_of_a_contender_average_their_luck():
    rng = np.random.default_rng(2)
    restarts, own = restarts_of(rng), restarts_of(rng, speedup=1.2)
    one, three = (summarise_speed(some, find_restarts([restarts, some])) for some in (own[:1], own))
    assert (one.processes, three.processes, three.training.blocks) == (1, 3, 24)
    assert three.training.log_half_width < 0.8 * one.training.log_half_width


def test_processes_are_held_against_restarts_beside_the_same_live_baseline():
    """A run that is extended has another live one; the first was 5 % faster, and has more of the contender's."""
    rng, restarts, own = np.random.default_rng(6), [], []
    for started_s, live, restarts_here, own_here in ((1.0, -0.05, 1, 3), (2.0, 0.0, 3, 1)):
        for found, count in ((restarts, restarts_here), (own, own_here)):
            some = [process(rng, live=live, noise=QUIET) for _ in range(count)]
            found += [replace(one, live_started_s=started_s) for one in some]
    known = summarise_speed(own, find_restarts([restarts, own])).training
    mixed, other = ([replace(one, live_started_s=None) for one in some] for some in (restarts, own))
    assert known.estimate == pytest.approx(1.0, abs=0.001)
    assert summarise_speed(other, find_restarts([mixed, other])).training.estimate < 0.98
    alone = [one for one in own if one.live_started_s == 1.0]
    assert known.log_half_width < summarise_speed(alone, find_restarts([restarts, alone])).training.log_half_width
    assert find_noise_floor(find_restarts([restarts])).processes == 4


def test_an_evaluation_that_is_provably_the_baselines_is_exactly_one():
    rng = np.random.default_rng(3)
    restarts, own = restarts_of(rng), [both_kinds(rng, speedup=1.2)]
    found = summarise_speed(own, find_restarts([restarts]), same_evaluation=True)
    assert (found.same_evaluation, found.evaluation.low, found.evaluation.high) == (True, 1.0, 1.0)
    measured = summarise_speed(own, find_restarts([restarts]))
    assert (measured.same_evaluation, measured.evaluation.low < 1.0 < measured.evaluation.high) == (False, True)


def test_an_evaluation_that_takes_longer_all_the_same_counts_as_measured():
    rng = np.random.default_rng(4)
    slower = [both_kinds(rng, evaluation=0.8)]
    found = summarise_speed(slower, find_restarts([restarts_of(rng)]), same_evaluation=True)
    assert not found.same_evaluation
    assert found.evaluation.high < 0.9


def test_the_floor_is_how_far_centred_a_against_a_may_lie_from_one_and_never_below_one_percent():
    rng = np.random.default_rng(5)
    assert find_noise_floor(find_restarts([[]])) is None
    many, few = (find_noise_floor(find_restarts([restarts_of(rng, count)])) for count in (3, 1))
    assert 0.01 < many.share <= 0.03
    assert (many.ratio.estimate, many.processes) == (1.0, 3)
    assert few.share > many.share
    quiet = find_noise_floor(find_restarts([restarts_of(rng, 40, noise=QUIET)]))
    assert quiet.share == LEAST_FLOOR


def test_nothing_timed_says_nothing():
    assert summarise_speed([], find_restarts([[]])) is None
    assert summarise_restarts([], find_restarts([[]])) is None


def test_reasons_that_differ_in_numbers_only_are_said_once():
    reasons = ["other processes used 0.31 of 2 cores", "0.02 GiB were swapped", "other processes used 0.6 of 2 cores"]
    block = BlockRecord(kind="training", number=1, attempt=1, first="baseline", windows=8, baseline_s=(1.0, 1.0),
                        contender_s=(1.0, 1.0))  # fmt: skip
    blocks = tuple(replace(block, contamination=(reason,)) for reason in reasons)
    record = SpeedRecord(blocks=blocks, stopped="", settle_s=0.0)
    assert summarise_speed([record], find_restarts([[]])).contamination == (
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
