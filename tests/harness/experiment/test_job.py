"""Jobs in this process: what was compiled before, and what the untrained model is scored with."""

from __future__ import annotations

import time
import weakref
from pathlib import Path

import pytest

from harness.config import preset
from harness.experiment import session as worker
from harness.experiment.commands import LoadBlock, RunJob, RunProfile
from harness.experiment.session import Session
from harness.experiment.trial import TrialClock
from harness.records.serialise import override
from harness.records.store import TRIAL_FILE, read_predictions, read_record
from harness.records.trial import TrialRecord, TrialSpec

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


def test_the_untrained_score_does_not_depend_on_the_baseline(run_job):
    # Weights so large that attention to other windows would give other answers.
    overrides = preset("smoke").model.overrides | {"initializer_range": 1.0}
    found = []
    for baseline in ("baseline", "unpadded"):
        record, directory = run_job("baseline", **{"baseline": baseline, "model.overrides": overrides})
        found.append((record.untrained, [row.text for row in read_predictions(directory)[0]]))
    assert found[0] == found[1]


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
