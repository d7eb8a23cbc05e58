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

from harness.analysis.evidence.speed import LEAST_FLOOR
from harness.statistics.multiple import holm
from harness.statistics.paired import Ratio, p_not_beyond, ratio_of_logs
from harness.statistics.processes import against_restarts, between_processes

ALPHA = 0.05
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
