"""Early decisions: what they need, and that looking at every block leaves error rates as they are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.statistics.paired import p_not_beyond, ratio_of_logs
from harness.statistics.sequential import LEAST_GAIN, decide_early

WORTH = 0.02

RUNS = 300


def blocks(ratio, *, count=20, deviation=0.004, seed=0):
    return (math.log(ratio) + np.random.default_rng(seed).normal(0.0, deviation, count)).tolist()


@pytest.mark.parametrize(
    ("ratio", "decision"),
    [(1.2, "faster"), (1.06, "faster"), (1.01, None), (1.02, None), (0.95, "slower"), (0.8, "slower")],
)
def test_what_lies_far_beyond_is_decided_and_what_lies_near_is_not(ratio, decision):
    assert decide_early([blocks(ratio)], worth=WORTH) == decision


def test_one_process_cannot_show_that_there_is_nothing_to_have_but_several_can():
    processes = [blocks(1.0, seed=seed) for seed in range(6)]
    assert decide_early(processes[:1], worth=WORTH) is None
    assert decide_early(processes, worth=WORTH) == "no gain"
    assert decide_early(processes[:1], worth=WORTH, process_deviation=0.0) == "no gain"


def test_what_is_worth_having_is_the_users_word():
    processes = [blocks(1.03, seed=seed) for seed in range(3)]
    assert decide_early(processes, worth=0.1) == "no gain"
    assert decide_early(processes, worth=0.02) == "faster"


@pytest.mark.parametrize("processes", [[], [[]], [[0.3, 0.3]]])
def test_too_few_blocks_decide_nothing(processes):
    assert decide_early(processes, worth=WORTH) is None


def test_blocks_without_any_scatter_are_no_division_by_zero():
    assert decide_early([[0.5] * 5], worth=WORTH, process_deviation=0.0) == "faster"


def look_at_each(values, first=5, **changes):
    """Return the early decision and after how many blocks it fell; None and all of them if it never did."""
    for count in range(first, len(values) + 1):
        decision = decide_early([values[:count]], worth=WORTH, process_deviation=0.0, **changes)
        if decision is not None:
            return decision, count
    return None, len(values)


def three_errors(share):
    return share + 3.0 * math.sqrt(share * (1.0 - share) / RUNS)


@pytest.mark.parametrize("deviation", [0.03, 0.06])
def test_36_looks_leave_the_final_test_its_level(deviation):
    """True speedup just at the least one: nominal one-sided level 2.5 %."""
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(RUNS):
        values = (math.log(1.0 + LEAST_GAIN) + rng.normal(0.0, deviation, 40)).tolist()
        decision, count = look_at_each(values)
        final = p_not_beyond(ratio_of_logs(values[:count]), 1.0 + LEAST_GAIN, "above") < 0.025
        false += decision == "faster" or (decision is None and final)
    assert false / RUNS <= three_errors(0.025)


def test_a_gain_that_is_just_worth_it_is_hardly_ever_called_none():
    rng = np.random.default_rng(2)
    values = math.log(1.0 + WORTH) + rng.normal(0.0, 0.02, (RUNS, 40))
    assert sum(look_at_each(row.tolist())[0] == "no gain" for row in values) / RUNS <= three_errors(0.005)


@pytest.mark.parametrize(("ratio", "deviation"), [(1.04, 0.03), (1.1, 0.03), (1.15, 0.06)])
def test_where_it_stops_early_the_interval_still_covers_the_truth(ratio, deviation):
    rng = np.random.default_rng(3)
    covered, counts = 0, []
    for _ in range(RUNS):
        values = (math.log(ratio) + rng.normal(0.0, deviation, 40)).tolist()
        _, count = look_at_each(values)
        at_stop = ratio_of_logs(values[:count])
        covered += at_stop.low <= ratio <= at_stop.high
        counts.append(count)
    assert covered / RUNS >= 1.0 - three_errors(0.05)
    assert np.mean(counts) < 30


def test_processes_that_differ_by_chance_are_not_called_faster():
    """Two processes of the same program, each with an effect of its own."""
    rng = np.random.default_rng(4)
    false = 0
    for _ in range(RUNS):
        effects = rng.normal(0.0, 0.01, 2)
        processes = [(effect + rng.normal(0.0, 0.03, 20)).tolist() for effect in effects]
        false += decide_early(processes, worth=WORTH) in ("faster", "slower")
    assert false / RUNS <= three_errors(0.001)
