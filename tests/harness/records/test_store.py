"""The run directory: what is written is read back, what is damaged is named."""

from __future__ import annotations

import json

import pytest

from harness.errors import RecordError
from harness.presets import preset
from harness.records.files import write_json, write_text_atomic
from harness.records.spec import TrialSpec
from harness.records.store import (
    QUALITY_FILE,
    load_run,
    read_predictions,
    read_quality,
    read_record,
    read_steps,
    trial_is_finished,
    write_predictions,
    write_quality,
    write_steps,
)
from harness.records.trial import ExamplePrediction, QualitySetRecord, RunRecord, StepRecord, TrialRecord
from harness.tasks.question_answering.task import TASK

STEP = StepRecord(
    epoch=1,
    step=1,
    time_s=0.5,
    loss=2.0,
    learning_rate=1e-3,
    gradient_norm=float("inf"),
    windows=4,
    useful_tokens=80,
    computed_tokens=128,
    token_id_sum=4096,
    applied=False,
)


def make_run(directory, trials):
    write_json(
        directory / "run.json",
        RunRecord(
            name="r",
            started="2026-01-01T00:00:00+00:00",
            config=preset("smoke"),
            command="speedproof run",
            environment={},
            data={},
            scoring=TASK.scoring,
            trials=tuple(trials),
        ),
    )


def test_specification_reaches_the_worker_unchanged(tmp_path):
    spec = TrialSpec(
        contender="a+b",
        seed=3,
        config=preset("quick"),
        directory="d",
        cache_directory="c",
        compile_cache_directory="cc",
    )
    write_json(tmp_path / "spec.json", spec)
    assert read_record(tmp_path / "spec.json", TrialSpec) == spec


def test_steps_keep_values_that_are_not_finite(tmp_path):
    write_steps(tmp_path, [STEP])
    assert read_steps(tmp_path) == [STEP]


def test_damaged_step_is_named_by_line(tmp_path):
    write_steps(tmp_path, [STEP, STEP])
    path = tmp_path / "steps.jsonl"
    path.write_text(path.read_text().replace('"step": 1', '"step": "x"', 1))
    with pytest.raises(RecordError, match=r"steps\.jsonl, line 1"):
        read_steps(tmp_path)


def test_predictions_come_back_by_epoch(tmp_path):
    rows = {0: [], 2: [ExamplePrediction(id="q", text="é", scores={"em": 1.0, "f1": 1.0})]}
    write_predictions(tmp_path, rows)
    assert read_predictions(tmp_path) == rows


def test_answers_to_the_quality_set_come_back_with_their_covariates(tmp_path):
    rows = [
        ExamplePrediction(id="q", text="é", scores={"em": 1.0}, covariates={"expected_em": 0.25}),
        ExamplePrediction(id="r", text="", scores={"em": 0.0}),
    ]
    write_quality(tmp_path, rows)
    assert read_quality(tmp_path) == rows
    (tmp_path / QUALITY_FILE).write_text('[{"id": "q"}]')
    with pytest.raises(RecordError, match=r"quality\.json is damaged"):
        read_quality(tmp_path)


def test_a_job_that_lost_its_answers_to_the_quality_set_is_damaged(tmp_path):
    make_run(tmp_path, ["trials/a/0"])
    folder, answered = tmp_path / "trials/a/0", QualitySetRecord(examples=1, windows=1, scores={}, time_s=1.0)
    record = TrialRecord(contender="a", kind="job", seed=0, status="done", quality_set=answered)
    write_json(folder / "trial.json", record)
    write_steps(folder, [STEP])
    write_predictions(folder, {})
    assert "quality.json is damaged" in load_run(tmp_path).damaged[0]
    write_quality(folder, [])
    assert load_run(tmp_path).damaged == []


def test_record_of_another_schema_is_refused(tmp_path):
    (tmp_path / "trial.json").write_text(json.dumps({"schema_version": 99}))
    with pytest.raises(RecordError, match="schema version 99"):
        read_record(tmp_path / "trial.json", TrialRecord)


def test_failed_write_leaves_the_old_file_and_no_temporary(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})
    with pytest.raises(TypeError):
        write_json(path, {"x": object()})
    with pytest.raises(UnicodeEncodeError):
        write_text_atomic(path, "\ud800")
    assert json.loads(path.read_text()) == {"x": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_a_run_names_missing_and_damaged_trials_and_keeps_the_rest(tmp_path):
    make_run(tmp_path, ["trials/a/0", "trials/b/0", "trials/c/0"])
    record = TrialRecord(contender="a", kind="job", seed=0, status="not_applicable", reason="no")
    write_json(tmp_path / "trials/a/0/trial.json", record)
    (tmp_path / "trials/b/0").mkdir(parents=True)
    (tmp_path / "trials/b/0/trial.json").write_text("{")
    run = load_run(tmp_path)
    assert [trial.record.contender for trial in run.trials] == ["a"]
    assert run.missing == ["trials/c/0"]
    assert len(run.damaged) == 1
    assert "trials/b/0/trial.json is damaged" in run.damaged[0]


def test_a_job_without_its_steps_is_damaged(tmp_path):
    make_run(tmp_path, ["trials/a/0"])
    write_json(tmp_path / "trials/a/0/trial.json", TrialRecord(contender="a", kind="job", seed=0, status="done"))
    assert "steps.jsonl is missing" in load_run(tmp_path).damaged[0]


@pytest.mark.parametrize(("status", "finished"), [("done", True), ("not_applicable", True), ("failed", False)])
def test_only_failed_and_missing_trials_run_again(tmp_path, status, finished):
    assert not trial_is_finished(tmp_path)
    write_json(tmp_path / "trial.json", TrialRecord(contender="a", kind="job", seed=0, status=status))
    assert trial_is_finished(tmp_path) is finished


def test_missing_run_says_so(tmp_path):
    with pytest.raises(RecordError, match=r"run\.json is missing"):
        load_run(tmp_path)
