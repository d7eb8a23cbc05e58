"""Runs from plan to records: real worker processes on a tiny model."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from harness.cli.progress import describe_outcome
from harness.errors import ConfigError, HarnessError
from harness.experiment import runner
from harness.experiment.runner import check_same_circumstances, new_run_directory

FAULTS = str(Path(__file__).with_name("plugin_faults.py"))

pytestmark = pytest.mark.usefixtures("needs_bundled")


def test_a_run_leaves_whole_records(smoke_run):
    assert (smoke_run.missing, smoke_run.damaged) == ([], [])
    trials = smoke_run.directory / "trials"
    by_folder = {trial.directory.relative_to(trials).as_posix(): trial for trial in smoke_run.trials}
    assert list(by_folder) == [
        "baseline/0",
        "baseline/speed",
        "fused_adamw/0",
        "fused_adamw/speed",
        "fused_adamw/profile",
        "baseline/speed-2",
        "baseline/profile",
    ]
    check_processes(by_folder)
    for name in ("baseline/0", "fused_adamw/0"):
        check_job(by_folder[name])
    baseline, contender = by_folder["baseline/0"].record, by_folder["fused_adamw/0"].record
    assert baseline.untrained is not None
    assert contender.untrained is None
    assert baseline.work == contender.work
    assert "fused=False" in baseline.knobs["optimizer"]
    assert "fused=True" in contender.knobs["optimizer"]
    profile = by_folder["fused_adamw/profile"]
    assert (profile.directory / profile.record.profile.trace_file).stat().st_size > 0
    assert any("addmm" in row.name for row in profile.record.profile.kernels)
    assert not (smoke_run.directory / "compile-cache").exists()


def check_processes(by_folder):
    names = ("baseline/speed", "baseline/speed-2", "fused_adamw/speed")
    first, last, contender = (by_folder[name].record for name in names)
    assert [record.process for record in (first, last, contender)] == [1, 2, 1]
    assert [record.footprint is not None for record in (first, last, contender)] == [False, True, True]
    assert [record.equivalence is not None for record in (first, last, contender)] == [True, False, True]
    for record in (first, last, contender):
        assert record.speed.blocks[0].cold


def check_job(trial):
    record = trial.record
    assert (record.kind, record.status) == ("job", "done")
    assert [epoch.epoch for epoch in record.epochs] == [1, 2]
    assert len(trial.steps) == record.work.updates == record.work.updates_applied
    assert sum(record.phases_s.values()) == pytest.approx(record.job_time_s, rel=1e-6)
    expected = {
        "process_start",
        "imports",
        "load_data",
        "tokenise",
        "load_model",
        "apply_strategies",
        "warm_up",
        "training",
        "evaluation",
        "span_search",
        "scoring",
        "saving",
        "other",
    }
    assert set(record.phases_s) == expected
    for epoch in record.epochs:
        rows = trial.predictions[epoch.epoch]
        assert len(rows) == 8
        assert epoch.scores["em"] == pytest.approx(100 * sum(row.scores["em"] for row in rows) / len(rows))
        assert epoch.scores["f1"] == pytest.approx(100 * sum(row.scores["f1"] for row in rows) / len(rows))
        assert epoch.train_time_s == pytest.approx(sum(s.time_s for s in trial.steps if s.epoch == epoch.epoch))
    assert record.sampling.source == "psutil"
    assert (trial.directory / record.sampling.file).exists()
    assert record.memory.rss_gib > 0
    assert record.memory.allocated_gib is None


def test_broken_contenders_do_not_touch_the_others(execute_on_copy):
    contenders = ["raises", "crashes", "diverges", "refuses", "hangs"]
    run, listener = execute_on_copy(
        name="faults", contenders=contenders, plugins=[FAULTS], trial_timeout_s=30.0, training__epochs=1
    )
    records = {trial.record.contender: trial.record for trial in run.trials if trial.record.kind == "job"}
    assert records["raises"].reason == "ValueError: broken on purpose"
    assert "SIGABRT" in records["crashes"].reason
    assert "the loss is nan at step 1 (epoch 1)" in records["diverges"].reason
    assert (run.directory / "trials/diverges/0/steps.jsonl").exists()
    assert (records["refuses"].status, records["refuses"].reason) == ("not_applicable", "this test wants it so")
    assert records["hangs"].reason == "ended after the time limit of 30 s"
    assert records["baseline"].status == "done"
    profiles = {folder: status for folder, status, _ in listener.ended if folder.endswith("profile")}
    assert profiles["refuses/profile"] == "not_applicable"
    assert profiles["raises/profile"] == "failed"
    assert profiles["baseline/profile"] == "done"
    assert "broken on purpose" in (run.directory / "trials/raises/0/log.txt").read_text()
    assert describe_outcome(records["raises"]) == "failed: ValueError: broken on purpose"


def test_an_interrupted_run_goes_on_with_what_is_missing(execute_on_copy):
    run, listener = execute_on_copy(remove=["fused_adamw/0"])
    assert listener.ended == [
        ("baseline/0", "done", True),
        ("baseline/speed", "done", True),
        ("fused_adamw/speed", "done", True),
        ("fused_adamw/profile", "done", True),
        ("fused_adamw/0", "done", False),
        ("baseline/speed-2", "done", True),
        ("baseline/profile", "done", True),
    ]
    assert run.missing == []


def test_another_configuration_under_the_same_name_is_refused_by_the_field_that_differs(execute_on_copy):
    with pytest.raises(ConfigError, match=r"another configuration: training\.epochs is 2 there, now 3"):
        execute_on_copy(seeds=2, training__epochs=3)


OTHER_CIRCUMSTANCES = {
    "training set": ("data", "train_sha256"),
    "validation set": ("data", "validation_sha256"),
    "quality set": ("data", "quality_sha256"),
    "device": ("environment", "device_name"),
    "processor": ("environment", "cpu"),
    "number of PyTorch threads": ("environment", "torch_threads"),
}


@pytest.mark.parametrize("what", OTHER_CIRCUMSTANCES)
def test_other_circumstances_than_at_the_begin_are_refused(what, smoke_run):
    table, key = OTHER_CIRCUMSTANCES[what]
    begun = smoke_run.run
    assert getattr(begun, table)[key] is not None
    today = replace(begun, **{table: {**getattr(begun, table), key: "another"}})
    with pytest.raises(ConfigError, match=f"another {what} .*now another.*--name"):
        check_same_circumstances(smoke_run.directory, begun, today)
    without = {name: value for name, value in getattr(begun, table).items() if name != key}
    check_same_circumstances(smoke_run.directory, replace(begun, **{table: without}), today)


def test_another_pytorch_than_at_the_begin_is_refused(execute_on_copy, monkeypatch):
    prepare = runner.prepare

    def prepare_with_another(*given):
        head, tokenizer = prepare(*given)
        packages = {**head.environment["packages"], "torch": "1.0"}
        return replace(head, environment={**head.environment, "packages": packages}), tokenizer

    monkeypatch.setattr(runner, "prepare", prepare_with_another)
    with pytest.raises(ConfigError, match="another version of PyTorch"):
        execute_on_copy(remove=["fused_adamw/0"])


def test_another_form_of_the_bundled_weights_is_refused(smoke_run):
    begun = replace(smoke_run.run, data=smoke_run.run.data | {"model_weights": "as published"})
    today = replace(begun, data=begun.data | {"model_weights": "rounded to bfloat16"})
    with pytest.raises(ConfigError, match="another form of the bundled weights"):
        check_same_circumstances(smoke_run.directory, begun, today)


def test_what_a_killed_run_left_is_gone_before_the_first_trial(execute_on_copy, tmp_path, monkeypatch):
    for name in ("compile-cache/fused_adamw/code", "checks/reference.safetensors"):
        (tmp_path / "runs/r" / name).parent.mkdir(parents=True)
        (tmp_path / "runs/r" / name).write_text("of a run that was killed")
    found = []
    monkeypatch.setattr(runner.Bench, "run", lambda bench, _: found.extend(bench._directory.iterdir()))
    monkeypatch.setattr(runner.Bench, "warm_caches", lambda _: None)
    execute_on_copy(remove=["fused_adamw/0"])
    assert "trials" in {path.name for path in found}
    assert not {"compile-cache", "checks"} & {path.name for path in found}


def test_a_directory_that_is_no_run_is_left_alone(execute_on_copy, tmp_path):
    (tmp_path / "runs/other").mkdir(parents=True)
    (tmp_path / "runs/other/precious.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not a run directory"):
        execute_on_copy(name="other")
    assert [path.name for path in (tmp_path / "runs/other").iterdir()] == ["precious.txt"]


@pytest.mark.parametrize(
    "changes",
    [
        {"contenders": ["fused_adam"]},
        {"data__max_length": 513},
        {"data__train_size": 4, "training__epochs": 1},
        {"model__source": "nobody/none", "model__overrides": {}, "model__weights": "pretrained"},
        {"data__source": "files", "data__train_file": "no.json", "data__validation_file": "no.json"},
    ],
    ids=["strategy", "length", "schedule", "model", "file"],
)
def test_mistakes_end_before_anything_is_written(changes, execute_on_copy, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HarnessError):
        execute_on_copy(name="mistake", **changes)
    assert not (tmp_path / "runs/mistake").exists()


def test_saved_weights_are_a_model_that_loads(smoke_run):
    saved = smoke_run.directory / "trials/baseline/0/model"
    assert json.loads((saved / "config.json").read_text())["dim"] == 32
    assert {"model.safetensors", "tokenizer.json"} <= {path.name for path in saved.iterdir()}


def test_names_are_not_given_twice(tmp_path, monkeypatch):
    class Clock:
        now = staticmethod(lambda: datetime(2026, 1, 2, 3, 4, 5))

    monkeypatch.setattr(runner, "datetime", Clock)
    for suffix in ("", "-2", "-3"):
        directory = new_run_directory(tmp_path, "quick")
        assert directory == tmp_path / f"quick-20260102-030405{suffix}"
        directory.mkdir()
