"""fast_startup: the same questions, weights and scores; what it says it leaves out is left out."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import threading

import pytest
import torch

from harness import registry
from harness.errors import DataError
from harness.experiment import trial
from harness.experiment.inputs import hash_windows, load_inputs, load_tokenised
from harness.experiment.process import import_path
from harness.experiment.trial import TrialClock, prepare_setup, start_reading
from harness.presets import preset
from harness.records.files import write_json
from harness.records.serialise import override
from harness.records.spec import TrialSpec
from harness.records.store import SPEC_FILE, TRIAL_FILE, read_record
from harness.records.strategy import HARNESS_PHASES
from harness.records.trial import TrialRecord
from harness.strategy import StartUp
from harness.tasks.question_answering.metrics import score_directly
from harness.tasks.question_answering.squad_metric import evaluate_answers

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
    fields = (
        "read_data_beside_model",
        "score_without_evaluate",
        "tokens_without_tokenizer",
        "cuda_beside_imports",
        "without_meta_kernels",
    )
    parts = [StartUp(**{field: True}) for field in fields]
    assert functools.reduce(StartUp.joined, parts) == registry.get("fast_startup").start_up
    loaders = registry.get("lean_model").start_up.loaders
    assert parts[0].joined(StartUp(loaders=loaders)) == StartUp(read_data_beside_model=True, loaders=loaders)
    assert StartUp().joined(StartUp()) == registry.get("fused_adamw").start_up == StartUp()


def test_declares_phases_of_the_harness():
    assert set(registry.get("fast_startup").phases) <= set(HARNESS_PHASES)


HEAVY = ("transformers", "tokenizers", "datasets", "evaluate", "torch._dynamo", "sympy", "triton", "scipy", "pandas")
"""What a job of lean_model+fast_startup does without; of these transformers and the compiler take a second each."""

JOB = """
import json, sys
from pathlib import Path
from harness import registry
from harness.experiment.commands import RunJob
from harness.experiment.session import Session
from harness.experiment.trial import TrialClock
from harness.records.store import SPEC_FILE, read_record
from harness.records.spec import TrialSpec
registry.load_all()
folder = Path(sys.argv[1])
session = Session(read_record(folder / SPEC_FILE, TrialSpec), TrialClock(0.0), lambda *_: None)
session.handle(RunJob(directory=sys.argv[1]))
print(json.dumps(sorted(sys.modules)))
"""


def modules_after_a_job(contender, folder, config, facts):
    spec = TrialSpec(
        contender=contender,
        seed=0,
        config=config,
        directory=str(folder),
        cache_directory=str(folder.parent / "cache"),
        compile_cache_directory=str(folder / "compile"),
        tokenizer=facts,
    )
    write_json(folder / SPEC_FILE, spec)
    command = [sys.executable, "-c", JOB, str(folder)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": import_path()}
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert read_record(folder / TRIAL_FILE, TrialRecord).status == "done"
    return set(json.loads(result.stdout))


PRETRAINED = {"model.source": "bundled", "model.weights": "pretrained", "model.overrides": {}}


@pytest.mark.parametrize(
    ("rest", "changes"),
    [("", {}), ("+fused_adamw+unpadded+fast_evaluation", {}), ("", PRETRAINED)],
    ids=["random", "stack", "pretrained"],
)
def test_a_lean_job_in_a_process_of_its_own_imports_nothing_of_weight(rest, changes, tmp_path, needs_bundled):
    # The quality set is answered after the job, in time of its own.
    few = {"training.epochs": 1, "training.max_steps": 3, "data.quality_size": None}
    config = override(preset("smoke"), {**few, **changes})
    inputs = load_tokenised(config, *load_inputs(config), tmp_path / "cache")
    loaded = modules_after_a_job(f"lean_model+fast_startup{rest}", tmp_path / "lean", config, inputs.tokenizer)
    assert sorted(loaded.intersection(HEAVY)) == []
    (tmp_path / "cache").rename(tmp_path / "gone")
    cold = modules_after_a_job(f"lean_model+fast_startup{rest}", tmp_path / "cold", config, inputs.tokenizer)
    assert sorted(cold.intersection(HEAVY)) == ["tokenizers"], "windows are made without transformers too"
    (windows,) = {tuple(sorted(path.name for path in (tmp_path / name).iterdir())) for name in ("cache", "gone")}
    assert windows, "the same windows under the same names"
    if not changes:
        plain = modules_after_a_job("baseline", tmp_path / "plain", config, inputs.tokenizer)
        assert {"transformers", "evaluate", "torch._dynamo"} <= plain, "else this test can't fail"


SPARED = """
import sys, torch
from optimizations.fast_startup import spare_compiler
if sys.argv[1] == "spared":
    spare_compiler(), spare_compiler()
weight = torch.nn.Parameter(torch.arange(6.0))
optimizer = torch.optim.AdamW([weight], lr=0.1, weight_decay=0.1, fused=True)
for _ in range(3):
    optimizer.zero_grad()
    (weight ** 2).sum().backward()
    optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
print(weight.tolist(), weight.requires_grad, torch.is_grad_enabled(), "torch._dynamo" in sys.modules)
"""


def test_adamw_makes_the_same_updates_without_the_compiler():
    def run(how):
        command = [sys.executable, "-c", SPARED, how]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return output.strip().rsplit(" ", 1)

    (plain, compiler), (spared, without) = run("plain"), run("spared")
    assert spared == plain
    assert (compiler, without) == ("True", "False")
