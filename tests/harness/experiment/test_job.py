"""Jobs in this process: what was compiled before, and what the untrained model is scored with."""

from __future__ import annotations

import time
import weakref
from pathlib import Path

import pytest

from harness.analysis.evidence.sameness import evaluation_problem
from harness.experiment import quality_set
from harness.experiment import session as worker
from harness.experiment.commands import LoadBlock, RunJob, RunProfile
from harness.experiment.session import Session
from harness.experiment.trial import TrialClock
from harness.presets import preset
from harness.records.serialise import override
from harness.records.spec import TrialSpec
from harness.records.store import QUALITY_FILE, TRIAL_FILE, read_predictions, read_quality, read_record
from harness.records.trial import TrialRecord

FAULTS = str(Path(__file__).with_name("plugin_faults.py"))

pytestmark = pytest.mark.usefixtures("needs_bundled")


@pytest.fixture
def run_job(tmp_path, monkeypatch):
    """Return a function that runs a job of a contender; it gives the record and the job's directory."""

    def run(contender, **changes):
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
        dotted = {"training.epochs": 1, "plugins": [FAULTS], **changes}
        directory = tmp_path / contender
        spec = TrialSpec(
            contender=contender,
            seed=0,
            config=override(preset("smoke"), dotted),
            directory=str(directory),
            cache_directory=str(tmp_path / "cache"),
            compile_cache_directory=str(tmp_path / "compiled"),
        )
        session = Session(spec, TrialClock(time.time()), lambda *_: None)
        session.handle(RunJob(directory=str(directory)))
        return read_record(directory / TRIAL_FILE, TrialRecord), directory

    return run


def test_what_a_strategy_compiles_while_it_is_applied_is_compiled_cold(run_job):
    assert run_job("compiles_at_once")[0].compile_cache == "cold"
    assert run_job("compiles_at_once")[0].compile_cache == "warm"


def test_a_filled_cache_that_a_strategy_chooses_is_warm(run_job, tmp_path, monkeypatch):
    (tmp_path / "kept").mkdir()
    monkeypatch.setenv("SPEEDPROOF_TEST_KEPT_CACHE", str(tmp_path / "kept"))
    assert run_job("chooses_a_cache")[0].compile_cache is None
    (tmp_path / "kept/code").write_text("compiled before")
    assert run_job("chooses_a_cache")[0].compile_cache == "warm"


@pytest.mark.parametrize(("most", "answered"), [(250, 16), (12, 12), (5, 8)])
def test_the_untrained_model_answers_as_much_of_the_quality_set_as_tells_whether_the_trained_one_learned(
    run_job, monkeypatch, most, answered
):
    monkeypatch.setattr(quality_set, "LEARNING_EXAMPLES", most)
    record, directory = run_job("baseline")
    untrained, trained = read_predictions(directory)[0], read_predictions(directory)[1]
    assert [row.id for row in untrained] == [row.id for row in read_quality(directory)][:answered]
    of_validation = [row.scores["f1"] for row in untrained[: len(trained)]]
    assert record.untrained["f1"] == pytest.approx(100.0 * sum(of_validation) / len(trained))


def test_the_untrained_score_does_not_depend_on_the_baseline(run_job):
    # Weights so large that attention to other windows would give other answers.
    overrides = preset("smoke").model.overrides | {"initializer_range": 1.0}
    found = []
    for baseline in ("baseline", "unpadded"):
        record, directory = run_job("baseline", **{"baseline": baseline, "model.overrides": overrides})
        found.append((record.untrained, [row.text for row in read_predictions(directory)[0]]))
    assert found[0] == found[1]


def test_the_trained_model_answers_the_quality_set_once_and_outside_the_jobs_time(run_job):
    record, directory = run_job("baseline")
    rows, last = read_quality(directory), read_predictions(directory)[1]
    assert (record.quality_set.examples, len(rows), len(last)) == (16, 16, 8)
    # The validation set comes first, answered as it was after the last epoch.
    assert [(row.id, row.text, row.scores) for row in rows[:8]] == [(row.id, row.text, row.scores) for row in last]
    f1 = 100 * sum(row.scores["f1"] for row in rows) / len(rows)
    assert record.quality_set.scores["f1"] == pytest.approx(f1)
    assert 0 < record.quality_set.time_s <= record.excluded_s
    assert sum(record.phases_s.values()) == pytest.approx(record.job_time_s)
    assert all(0 <= row.covariates["expected_f1"] <= 1 and row.covariates["log_likelihood"] <= 0 for row in rows)


def test_without_a_quality_set_the_last_epochs_answers_carry_the_covariates(run_job):
    record, directory = run_job("baseline", **{"data.quality_size": None})
    predictions = read_predictions(directory)
    assert record.quality_set is None
    assert not (directory / QUALITY_FILE).exists()
    assert all(set(row.covariates) >= {"expected_em", "log_likelihood"} for row in predictions[1])
    assert not any(row.covariates for row in predictions[0])


def test_what_is_said_of_the_quality_set_must_be_the_trained_models_too(run_job):
    honest, _ = run_job("fused_adamw")
    record, _ = run_job("answers_by_heart")
    assert evaluation_problem(honest.evaluation_check) is None
    assert evaluation_problem(record.evaluation_check) is not None
    assert record.epochs[-1].scores == honest.epochs[-1].scores


def test_what_segments_held_is_let_go_before_the_profiled_trainer_is_made(tmp_path, monkeypatch):
    """Optimizer state, and a set of gradients for each CUDA graph."""
    dotted = {"training.epochs": 1, "profile.active_steps": 1}
    spec = TrialSpec(
        contender="baseline",
        seed=0,
        config=override(preset("smoke"), dotted),
        directory=str(tmp_path),
        cache_directory=str(tmp_path / "cache"),
        compile_cache_directory=str(tmp_path / "compiled"),
    )
    session = Session(spec, TrialClock(time.time()), lambda *_: None)
    session.handle(LoadBlock(kind="training", numbers=(0, 1), rehearse=False, repetitions=1))
    step = weakref.ref(session._segments()._trainer.step)
    alive = []
    make_trainer = worker.make_trainer
    monkeypatch.setattr(worker, "make_trainer", lambda *given: alive.append(step() is not None) or make_trainer(*given))
    session.handle(RunProfile(directory=str(tmp_path)))
    assert alive == [False]
