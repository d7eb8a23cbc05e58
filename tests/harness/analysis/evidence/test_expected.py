"""Jobs of other lengths than the one that was measured: estimates by hand, coverage by simulation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.analysis.evidence.expected import STEPS, expect_jobs
from harness.analysis.evidence.job import Term, compose_job
from harness.analysis.evidence.speed import NoiseFloor, SpeedEvidence
from harness.records.trial import EpochRecord, TrialRecord, WorkRecord
from harness.statistics.paired import ratio_of_logs

NOISE = 0.004 * np.array([1.0, -1.0, -1.0, 1.0, 1.0, -1.0])
UPDATES, START_S, EVALUATION_S = 16, 4.0, 5.0


def make_job(*, warm_up_s=1.0, training_s=20.0, windows=64):
    phases_s = {"imports": START_S, "warm_up": warm_up_s, "training": training_s, "evaluation": EVALUATION_S}
    epoch = EpochRecord(epoch=1, train_time_s=training_s, train_loss=1.0, evaluation_time_s=EVALUATION_S,
                        scores={"em": 1.0, "f1": 1.0})  # fmt: skip
    work = WorkRecord(updates=UPDATES, updates_applied=UPDATES, windows=windows, useful_tokens=1, computed_tokens=1,
                      token_id_sum=1, trained_parameters=1, total_parameters=1, untrained_tensors=(),
                      order_sha256="", learning_rate_sha256="")  # fmt: skip
    return TrialRecord(contender="x", kind="job", seed=0, status="done", phases_s=phases_s, work=work,
                       job_time_s=sum(phases_s.values()), epochs=(epoch,))  # fmt: skip


def timed(training, noise=NOISE):
    return SpeedEvidence(training=ratio_of_logs(np.log(training) + noise), evaluation=ratio_of_logs(noise), blocks=9,
                         repeats=0, spoilt=0, contamination=(), stopped="", same_samples=True)  # fmt: skip


FLOOR = NoiseFloor(ratio=ratio_of_logs(NOISE), share=0.01)


def expect(contender, speed):
    job = compose_job([make_job()], [contender], speed, FLOOR, [make_job()] * 3)
    return job, expect_jobs([make_job()], [contender], speed, job)


def test_it_is_start_up_warm_up_and_steps_without_evaluation():
    _, found = expect(make_job(warm_up_s=11.0), timed(2.0))
    assert [job.steps for job in found] == list(STEPS)
    step_s = 20.0 / UPDATES
    for job in found:
        assert job.baseline_s == pytest.approx(START_S + 1.0 + job.steps * step_s)
        assert job.contender_s == pytest.approx(START_S + 11.0 + job.steps * step_s / 2.0)
        assert job.speedup.estimate == pytest.approx(job.baseline_s / job.contender_s)
        assert job.speedup.low < job.speedup.estimate < job.speedup.high


def test_a_warm_up_that_the_measured_job_was_too_short_for_pays_back_in_a_longer_one():
    job, found = expect(make_job(warm_up_s=31.0), timed(1.1))
    assert job.ratio.estimate < 1.0
    short, _, long = found
    assert short.speedup.estimate < 1.0 < long.speedup.estimate < 1.1


def test_in_a_long_job_the_interval_is_that_of_the_steps():
    speed = timed(1.5)
    _, (*_, long) = expect(make_job(), speed)
    steps = speed.training
    assert math.log(long.speedup.high / long.speedup.low) == pytest.approx(math.log(steps.high / steps.low), rel=0.05)


def test_evaluation_adds_nothing_to_the_interval():
    job, found = expect(make_job(), timed(1.5))
    wild = tuple(replace(term, log_standard_error=1.0) if term.part == "evaluation" else term for term in job.terms)
    assert expect_jobs([make_job()], [make_job()], timed(1.5), replace(job, terms=wild)) == found


def test_larger_batches_go_through_the_same_windows():
    _, found = expect(make_job(), timed(2.0))
    half = replace(timed(2.0), same_samples=False)
    job = compose_job([make_job()], [make_job(windows=32)], half, FLOOR, [make_job()] * 3)
    assert expect_jobs([make_job()], [make_job(windows=32)], half, job)[0].contender_s == found[0].contender_s


def test_without_segments_nothing_is_expected():
    assert expect_jobs([make_job()], [make_job()], None, None) == ()


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """Truth: a step 1.3 times as fast, start-up the same; blocks of 2 %, start-up of 0.3 s known from 8 starts."""
    rng, runs, covered = np.random.default_rng(0), 400, np.zeros(len(STEPS))
    truth = [(START_S + 1.0 + n * 20.0 / UPDATES) / (START_S + 1.0 + n * 20.0 / UPDATES / 1.3) for n in STEPS]
    start = Term(part="start-up", log_standard_error=0.0, degrees_of_freedom=7.0, samples=8, settled_by="seeds")
    for _ in range(runs):
        speed = timed(1.3, rng.normal(0.0, 0.02, 12))
        starts_s = rng.normal(0.0, 0.3, 8)
        shift_s = rng.normal(0.0, 0.3)
        job = compose_job([make_job()], [make_job()], speed, FLOOR, [make_job()] * 3)
        error = float(np.std(starts_s, ddof=1)) / job.contender_s
        (training,) = (term for term in job.terms if term.part == "training")
        terms = (training, replace(start, log_standard_error=error))
        noisy = replace(job, contender_s=job.contender_s + shift_s, terms=terms)
        found = expect_jobs([make_job()], [make_job()], speed, noisy)
        covered += [one.speedup.low <= true <= one.speedup.high for one, true in zip(found, truth, strict=True)]
    assert min(covered / runs) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / runs)
