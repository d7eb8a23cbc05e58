"""From a short run of one configuration to the advice for its whole job."""

from __future__ import annotations

import json

import pytest

from harness.analysis.advice.advice import ADVICE_FILE, write_advice
from harness.analysis.advice.short_run import PlannedJob, advise, extrapolate
from harness.errors import HarnessError
from harness.records.store import load_run

# The recorded jobs: 3 epochs of 8 steps of 16 windows; 128 windows of 120 questions, 44 of 40.
STEPS, EVALUATIONS = 24, 3


def planned(**changes):
    values = {"train_questions": 120, "validation_questions": 40, "epochs": 3, "max_steps": None}
    return PlannedJob(**values | changes)


@pytest.fixture
def short_run(make_run):
    return load_run(make_run(seeds=1))


@pytest.fixture
def job(short_run):
    return next(trial for trial in short_run.trials if trial.record.kind == "job")


def test_the_same_job_is_extrapolated_to_itself(short_run, job):
    phases_s = extrapolate(job, short_run.run.data, planned())
    measured = job.record.phases_s
    assert {name: phases_s[name] for name in measured if name != "training"} == pytest.approx(
        {name: time_s for name, time_s in measured.items() if name != "training"}
    )
    assert phases_s["training"] == pytest.approx(measured["training"], rel=0.05)


def test_training_grows_with_steps_and_evaluation_with_windows(short_run, job):
    once = extrapolate(job, short_run.run.data, planned())
    more = extrapolate(job, short_run.run.data, planned(train_questions=1200, validation_questions=80, epochs=6))
    assert more["training"] == pytest.approx(20 * once["training"])
    assert more["evaluation"] == pytest.approx(4 * once["evaluation"])
    assert more["span_search"] == pytest.approx(4 * once["span_search"])
    assert more["imports"] == once["imports"]


def test_a_limit_of_steps_limits_evaluations_too(short_run, job):
    once = extrapolate(job, short_run.run.data, planned())
    limited = extrapolate(job, short_run.run.data, planned(max_steps=9))
    assert limited["training"] == pytest.approx(9 / STEPS * once["training"])
    assert limited["evaluation"] == pytest.approx(2 / EVALUATIONS * once["evaluation"])


def test_the_advice_is_written_as_strict_json(short_run):
    advice = advise(short_run, planned(epochs=30))
    assert "extrapolated from 24 steps and 3 short evaluations" in advice.notes[0]
    assert {"padding_waste", "evaluation"} <= {finding.rule for finding in advice.findings}
    write_advice(short_run.directory, advice)
    data = json.loads((short_run.directory / ADVICE_FILE).read_text(), parse_constant=pytest.fail)
    assert data["subject"] == "baseline"
    assert data["phases_s"]["training"] == pytest.approx(advice.phases_s["training"])


def test_what_did_not_run_is_an_error_with_its_reason(make_run, recorded):
    run = make_run(seeds=1)
    recorded.edit_trial(run, "baseline/0", lambda data: data.update(status="not_applicable", reason="no units"))
    with pytest.raises(HarnessError, match="baseline can't be profiled: no units"):
        advise(load_run(run), planned())
