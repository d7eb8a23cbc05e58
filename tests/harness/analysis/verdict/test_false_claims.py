"""How often a difference is claimed where there is none, on noise that was recorded and not made up.

`recorded_noise.json` holds log ratios, baseline ÷ contender, of contenders whose steps cost what the baseline's do:
27 real comparisons of equals, in three runs of nine beside one live baseline each, on a busy machine.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from harness.analysis.evidence.job import JobSpeed
from harness.analysis.evidence.speed import LEAST_FLOOR
from harness.analysis.verdict.claims import BeyondNoise, beyond_noise
from harness.statistics.multiple import holm
from harness.statistics.paired import Ratio, p_not_beyond, ratio_of_logs
from harness.statistics.processes import against_restarts, between_processes

ALPHA = 0.05
WORTH = 0.02
RUNS = 600
THREE_ERRORS = 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)
STRETCH = 3
"""Blocks that are drawn together, so that what neighbours have in common stays (circular block bootstrap, Politis and
Romano 1992)."""


@pytest.fixture(scope="module")
def recorded() -> list[list[np.ndarray]]:
    path = Path(__file__).with_name("recorded_noise.json")
    return [[np.array(row) for row in run] for run in json.loads(path.read_text(encoding="utf-8"))["runs"]]


def redraw(rng: np.random.Generator, blocks: np.ndarray) -> np.ndarray:
    starts = rng.integers(len(blocks), size=-(-len(blocks) // STRETCH))
    places = (starts[:, None] + np.arange(STRETCH)) % len(blocks)
    return blocks[places.ravel()[: len(blocks)]]


def claims(ratios: dict[int, Ratio], floor: float) -> int:
    faster = holm({name: p_not_beyond(ratio, 1 + floor, "above") for name, ratio in ratios.items()})
    slower = holm({name: p_not_beyond(ratio, 1 / (1 + floor), "below") for name, ratio in ratios.items()})
    return sum(p < ALPHA for p in (*faster.values(), *slower.values()))


def share_with_a_claim(recorded, *, with_restarts: bool) -> float:
    """A run: three recordings are A/A, and the other six are held against them; or against the live baseline alone."""
    rng, found = np.random.default_rng(0), 0
    for _ in range(RUNS):
        run = recorded[rng.integers(len(recorded))]
        *others, a, b, c = (ratio_of_logs(redraw(rng, run[k])) for k in rng.permutation(len(run)))
        if with_restarts:
            between = between_processes([(a, b, c)])
            others = [against_restarts([ratio], (a, b, c), between) for ratio in others]
        found += claims(dict(enumerate(others)), LEAST_FLOOR if with_restarts else 0.0) > 0
    return found / RUNS


def test_equals_are_told_apart_in_no_more_runs_than_stated(recorded):
    assert share_with_a_claim(recorded, with_restarts=True) <= ALPHA + THREE_ERRORS


def test_held_against_the_live_baseline_alone_they_would_be(recorded):
    assert share_with_a_claim(recorded, with_restarts=False) > ALPHA + THREE_ERRORS


def called_no_gain(found: dict[str, BeyondNoise]) -> int:
    adjusted = holm({name: noise.p_no_gain for name, noise in found.items()})
    return sum(noise.no_gain and adjusted[name] < ALPHA for name, noise in found.items())


def gains_of(recorded, rng: np.random.Generator, gain: float, floor: float) -> dict[str, BeyondNoise]:
    """Return eight contenders that gain just that, in recorded noise."""
    run = recorded[rng.integers(len(recorded))]
    found = {}
    for number in rng.permutation(len(run))[1:]:
        # What the recording is off by on average is not noise between blocks: it is taken out.
        blocks = redraw(rng, run[number] - np.mean(run[number])) + math.log1p(gain)
        job = JobSpeed(ratio=ratio_of_logs(blocks), floor=floor, baseline_s=1.0, contender_s=1.0, as_run=None)
        found[str(number)] = beyond_noise(job, WORTH)
    return found


def test_who_gains_what_is_worth_it_is_called_no_gain_in_no_more_runs_than_stated(recorded):
    rng, wide = np.random.default_rng(1), 0.3
    wrong = sum(called_no_gain(gains_of(recorded, rng, WORTH, wide)) > 0 for _ in range(RUNS))
    assert wrong / RUNS <= ALPHA + THREE_ERRORS


def test_by_their_estimates_they_would_be(recorded):
    rng = np.random.default_rng(1)
    below = [
        any(noise.job.ratio.estimate < 1.0 + WORTH for noise in gains_of(recorded, rng, WORTH, LEAST_FLOOR).values())
        for _ in range(50)
    ]
    assert np.mean(below) > ALPHA + THREE_ERRORS


def test_no_gain_is_found_where_there_is_none_and_the_noise_allows_it(recorded):
    rng = np.random.default_rng(1)
    found = [called_no_gain(gains_of(recorded, rng, -0.1, LEAST_FLOOR)) for _ in range(50)]
    assert np.mean(found) > 4.0
