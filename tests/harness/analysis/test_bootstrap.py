"""Intervals of EM and F1 differences: coverage by simulation, pairing, reproducibility."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from harness.analysis.bootstrap import difference_interval, paired_differences, pigeonhole_interval
from harness.records import ExamplePrediction, TrialRecord
from harness.storage import LoadedTrial


def trial(seed: int, scores: dict[str, float]) -> LoadedTrial:
    rows = [ExamplePrediction(id=key, text="", em=float(value == 1), f1=value) for key, value in scores.items()]
    record = TrialRecord(contender="x", kind="job", seed=seed, status="done")
    return LoadedTrial(directory=Path(), record=record, steps=[], predictions={1: [], 2: rows})


def test_differences_are_paired_by_seed_and_question() -> None:
    baseline = [trial(0, {"a": 0.5, "b": 1.0}), trial(1, {"a": 0.0, "b": 0.0, "c": 1.0})]
    contender = [trial(1, {"b": 1.0, "a": 0.25}), trial(0, {"a": 1.0, "b": 0.5}), trial(9, {"a": 0.0, "b": 0.0})]
    assert paired_differences("f1", baseline, contender).tolist() == [[50.0, -50.0], [25.0, 100.0]]
    assert paired_differences("em", baseline, contender).tolist() == [[100.0, -100.0], [0.0, 100.0]]


def test_without_common_seeds_or_questions_there_is_no_interval() -> None:
    assert difference_interval("f1", [trial(0, {"a": 1.0})], [trial(1, {"a": 1.0})]) is None
    assert difference_interval("f1", [trial(0, {"a": 1.0})], [trial(0, {"b": 1.0})]) is None
    assert difference_interval("f1", [trial(0, {"a": 1.0})], [trial(0, {"a": 0.0})]) is None
    assert difference_interval("f1", [], []) is None


def test_equal_answers_give_an_interval_of_no_width() -> None:
    same = [trial(0, {"a": 0.5, "b": 1.0})]
    assert difference_interval("f1", same, same) == (0.0, 0.0)


def test_the_same_input_gives_the_same_interval() -> None:
    values = np.random.default_rng(1).normal(size=(3, 50))
    assert pigeonhole_interval(values) == pigeonhole_interval(values)


def test_with_one_seed_it_agrees_with_the_bootstrap_of_scipy() -> None:
    values = np.random.default_rng(2).normal(1.0, 5.0, size=(1, 200))
    oracle = stats.bootstrap((values[0],), np.mean, n_resamples=9999, method="percentile", rng=3).confidence_interval
    low, high = pigeonhole_interval(values)
    assert (low, high) == (pytest.approx(oracle.low, abs=0.08), pytest.approx(oracle.high, abs=0.08))


@pytest.mark.parametrize("seeds", [1, 5])
def test_intervals_cover_the_true_difference_as_often_as_they_say(seeds: int) -> None:
    rng = np.random.default_rng(4)
    runs, covered = 300, 0
    for _ in range(runs):
        examples, noise = rng.normal(0, 20, size=(1, 100)), rng.normal(0, 30, size=(seeds, 100))
        low, high = pigeonhole_interval(2.0 + examples + noise, resamples=400, seed=int(rng.integers(1 << 30)))
        covered += low <= 2.0 <= high
    # 95 % of 300 with a Monte-Carlo error of 3.9 (three standard errors: 11); several seeds err to the wide side.
    assert covered >= 285 - 11
    assert covered <= (285 + 11 if seeds == 1 else runs)
