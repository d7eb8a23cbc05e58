"""Which answers judge quality: the quality set's where every job gave them, else the validation set's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.analysis.evidence.quality import (
    assess_learning,
    assess_quality,
    compare_expected,
    compare_scores,
    measure_narrowing,
    paired_differences,
)
from harness.config import RunConfig
from harness.records.store import LoadedTrial
from harness.records.trial import (
    EpochRecord,
    ExamplePrediction,
    MetricRecord,
    QualitySetRecord,
    ScoringRecord,
    TrialRecord,
)

SCORING = ScoringRecord(metrics=(MetricRecord(name="em", title="EM"),), headline="em")
RUN: Any = SimpleNamespace(scoring=SCORING, config=RunConfig())
SMALL, LARGE = 40, 400


def rows(right: np.ndarray, certain: float = 0.5) -> list[ExamplePrediction]:
    return [
        ExamplePrediction(
            id=f"q{k}", text="", scores={"em": float(value)}, covariates={"expected_em": certain * float(value)}
        )
        for k, value in enumerate(right)
    ]


def job(seed: int, right: np.ndarray, *, certain: float = 0.5, answered: bool = True) -> LoadedTrial:
    """Return a job whose first `SMALL` answers are the validation set's."""
    em = 100.0 * float(right[:SMALL].mean())
    epoch = EpochRecord(epoch=1, train_time_s=1.0, train_loss=1.0, evaluation_time_s=1.0, scores={"em": em})
    on_set = QualitySetRecord(
        examples=len(right), windows=len(right), scores={"em": 100.0 * float(right.mean())}, time_s=2.0
    )
    record = TrialRecord(contender="x", kind="job", seed=seed, status="done", epochs=(epoch,))
    return LoadedTrial(
        directory=Path(),
        record=replace(record, quality_set=on_set) if answered else record,
        steps=[],
        predictions={1: rows(right[:SMALL], certain)},
        quality_set=rows(right, certain) if answered else [],
    )


@pytest.fixture
def right() -> np.ndarray:
    """Of three seeds, the baseline's answers to the whole set."""
    return np.random.default_rng(0).random((3, LARGE)) < 0.6


def flipped(right: np.ndarray) -> np.ndarray:
    """Lose one answer in ten, and win as many."""
    return right ^ (np.random.default_rng(1).random(right.shape) < 0.1)


def test_the_gate_takes_the_quality_set_and_says_how_large_it_was(right: np.ndarray) -> None:
    baseline = [job(seed, row) for seed, row in enumerate(right)]
    contender = [job(seed, row) for seed, row in enumerate(flipped(right))]
    found = assess_quality(RUN, baseline, contender)["em"]
    assert (found.examples, found.seeds) == (LARGE, 3)
    assert found.difference == pytest.approx(100.0 * (flipped(right).mean() - right.mean()))
    before, after = (100.0 * side.mean() for side in (right, flipped(right)))
    jobs = [[trial.record for trial in side] for side in (baseline, contender)]
    shown = compare_scores(SCORING, *jobs, {"em": found})["em"]
    assert (shown.baseline, shown.contender, shown.difference) == pytest.approx((before, after, after - before))
    assert shown.low == found.low


def test_one_job_without_its_answers_sends_all_back_to_the_validation_set(right: np.ndarray) -> None:
    baseline = [job(seed, row) for seed, row in enumerate(right)]
    contender = [job(seed, row, answered=seed > 0) for seed, row in enumerate(flipped(right))]
    assert assess_quality(RUN, baseline, contender)["em"].examples == SMALL
    assert measure_narrowing(baseline, contender, assess_quality(RUN, baseline, contender)) == {}
    jobs = [[trial.record for trial in side] for side in (baseline, contender)]
    shown = compare_scores(SCORING, *jobs, None)["em"]
    assert shown.contender == pytest.approx(100.0 * flipped(right)[:, :SMALL].mean())


def test_the_gain_is_that_of_the_interval(right: np.ndarray) -> None:
    baseline = [job(seed, row) for seed, row in enumerate(right)]
    contender = [job(seed, row) for seed, row in enumerate(flipped(right))]
    whole = assess_quality(RUN, baseline, contender)
    alone = assess_quality(RUN, [replace(b, quality_set=[]) for b in baseline], contender)
    gain = measure_narrowing(baseline, contender, whole)["em"]
    assert 1.0 - gain == pytest.approx((whole["em"].high - whole["em"].low) / (alone["em"].high - alone["em"].low))
    assert gain > 0.5


def test_a_more_certain_model_with_the_same_answers_changes_what_is_expected_and_no_score(right: np.ndarray) -> None:
    baseline = [job(seed, row) for seed, row in enumerate(right)]
    contender = [job(seed, row, certain=0.9) for seed, row in enumerate(right)]
    assert assess_quality(RUN, baseline, contender)["em"].difference == 0.0
    expected = compare_expected(RUN, baseline, contender)["em"]
    assert expected.estimate == pytest.approx(40.0 * right.mean())
    assert expected.low > 0.0


def test_runs_of_earlier_versions_have_no_expected_scores(right: np.ndarray) -> None:
    old = [
        replace(trial, predictions={1: [replace(row, covariates={}) for row in trial.predictions[1]]}, quality_set=[])
        for trial in (job(seed, row) for seed, row in enumerate(right))
    ]
    assert compare_expected(RUN, old, old) == {}
    assert paired_differences("em", old, old).shape == (3, SMALL)


def test_more_seeds_do_not_make_a_baseline_that_has_learned_doubtful(right: np.ndarray) -> None:
    """Whether these models have learned is asked of these models, on the examples that were scored untrained."""
    trained = [job(0, right[0]), job(1, right[1] | right[2])]
    first = replace(trained[0], predictions={0: rows(np.zeros(SMALL)), **trained[0].predictions})
    one, two = assess_learning(RUN, [first]), assess_learning(RUN, [first, trained[1]])
    assert not one.vacuous
    assert not two.vacuous
    assert two.gain_low > one.gain_low


def test_learning_is_told_by_as_many_examples_as_the_untrained_model_answered(right: np.ndarray) -> None:
    trained = job(0, right[0])
    small, large = (
        assess_learning(RUN, [replace(trained, predictions={0: rows(np.zeros(size)), **trained.predictions})])
        for size in (SMALL, LARGE)
    )
    assert large.gain == pytest.approx(100.0 * right[0].mean())
    assert large.gain - large.gain_low < small.gain - small.gain_low
    unanswered = replace(trained, predictions={0: rows(np.zeros(LARGE)), **trained.predictions}, quality_set=[])
    assert assess_learning(RUN, [unanswered]) is None
