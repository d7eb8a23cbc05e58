"""fast_startup: the same questions, weights and scores; what it says it leaves out is left out."""

from __future__ import annotations

import threading

import pytest
import torch

from harness import registry
from harness.config import override, preset
from harness.errors import DataError
from harness.experiment import trial
from harness.experiment.inputs import hash_windows
from harness.experiment.trial import TrialClock, prepare_setup, start_reading
from harness.records import HARNESS_PHASES, TrialSpec
from harness.strategy import StartUp
from harness.training.metrics import score_directly
from harness.training.squad_metric import evaluate_answers

IDS = ["a", "b", "c", "d"]
TEXTS = ["the Cat", "in 1999, twice", "", "a an the"]
REFERENCES = [["cat!", "dog"], ["twice in 1999"], ["something"], ["the"]]


def prepared(contender, tmp_path):
    spec = TrialSpec(
        contender=contender,
        seed=3,
        config=override(preset("smoke"), {"data.source": "generator"}),
        directory=str(tmp_path),
        cache_directory=str(tmp_path / "cache"),
        compile_cache_directory=str(tmp_path / "compile"),
    )
    clock = TrialClock(0.0)
    return prepare_setup(spec, clock, torch.device("cpu"), lambda *_: None), clock


def test_windows_and_weights_are_those_of_the_baseline(tmp_path, needs_bundled):
    (plain, plain_clock), (fast, fast_clock) = (prepared(name, tmp_path) for name in ("baseline", "fast_startup"))
    for name in ("train_windows", "validation_windows"):
        assert hash_windows(getattr(fast.inputs, name)) == hash_windows(getattr(plain.inputs, name))
    assert fast.inputs.validation == plain.inputs.validation
    weights = dict(fast.setup.model.named_parameters())
    assert all(torch.equal(value, weights[name]) for name, value in plain.setup.model.named_parameters())
    assert fast_clock.phases.phases_s.keys() == plain_clock.phases.phases_s.keys()


def test_scores_are_those_of_evaluate():
    assert score_directly(IDS, TEXTS, REFERENCES) == evaluate_answers(IDS, TEXTS, REFERENCES)


@pytest.mark.parametrize("ids", [["a", "a", "b", "c"], ["a"], []])
def test_what_would_shift_scores_is_refused(ids):
    with pytest.raises(DataError):
        score_directly(ids, TEXTS, REFERENCES)


def test_questions_are_read_in_another_thread_unless_from_the_hub(monkeypatch):
    monkeypatch.setattr(trial, "load_inputs", lambda config: threading.current_thread().name)
    own = threading.current_thread().name
    local, hub = preset("smoke"), override(preset("smoke"), {"data.source": "hub"})
    assert start_reading(local, at_once=True)() != own
    assert start_reading(local, at_once=False)() == own
    assert start_reading(hub, at_once=True)() == own


def test_an_error_of_the_reading_thread_reaches_the_trial(monkeypatch):
    def fail(config):
        raise DataError("no such file", remedy="check the path")

    monkeypatch.setattr(trial, "load_inputs", fail)
    with pytest.raises(DataError, match="no such file"):
        start_reading(preset("smoke"), at_once=True)()


def test_a_stack_starts_as_any_of_its_parts_asks():
    one, other = StartUp(read_data_beside_model=True), StartUp(score_without_evaluate=True)
    assert one.joined(other) == registry.get("fast_startup").start_up
    assert StartUp().joined(StartUp()) == registry.get("fused_adamw").start_up == StartUp()


def test_declares_phases_of_the_harness():
    assert set(registry.get("fast_startup").phases) <= set(HARNESS_PHASES)


def test_a_job_never_imports_evaluate(tmp_path, needs_bundled):
    """In a process of its own: here the tests have imported it."""
    import subprocess
    import sys

    code = (
        "import sys; from harness.experiment import job, session, validation; "
        "print(sorted({'evaluate', 'datasets'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
