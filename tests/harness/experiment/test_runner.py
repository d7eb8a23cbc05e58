"""Runs from plan to records: real worker processes on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.config import override, preset
from harness.errors import ConfigError, HarnessError
from harness.experiment.runner import execute_run, new_run_name
from harness.progress import SilentListener, describe_outcome
from harness.storage import load_run

FAULTS = str(Path(__file__).with_name("plugin_faults.py"))

pytestmark = pytest.mark.usefixtures("needs_bundled")


class Recorder(SilentListener):
    """Remembers how each trial ended."""

    def __init__(self):
        self.ended = []

    def trial_ended(self, trial, record, *, resumed):
        self.ended.append((trial.folder.removeprefix("trials/"), record.status, resumed))


@pytest.fixture
def execute(tmp_path):
    """Return a function that runs a configuration in `tmp_path/runs/<name>` and gives back run and recorder."""

    def run(name="r", **changes):
        config = override(preset("smoke"), {key.replace("__", "."): value for key, value in changes.items()})
        listener = Recorder()
        directory = tmp_path / "runs" / name
        execute_run(config, directory, cache_directory=tmp_path / "cache", command="c", listener=listener)
        return load_run(directory), listener

    return run


def test_a_run_leaves_whole_records(execute):
    run, _ = execute()
    assert (run.missing, run.damaged) == ([], [])
    by_folder = {trial.directory.relative_to(run.directory / "trials").as_posix(): trial for trial in run.trials}
    assert list(by_folder) == ["baseline/0", "fused_adamw/0", "baseline/profile", "fused_adamw/profile"]
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
    assert not (run.directory / "compile-cache").exists()


def check_job(trial):
    record = trial.record
    assert (record.kind, record.status) == ("job", "done")
    assert [epoch.epoch for epoch in record.epochs] == [1, 2]
    assert len(trial.steps) == record.work.updates == record.work.updates_applied
    assert sum(record.phases_s.values()) == pytest.approx(record.job_time_s, rel=1e-6)
    expected = {"process_start", "imports", "load_data", "tokenise", "load_model", "apply_strategies", "warm_up",
                "training", "evaluation", "span_search", "scoring", "saving", "other"}  # fmt: skip
    assert set(record.phases_s) == expected
    for epoch in record.epochs:
        rows = trial.predictions[epoch.epoch]
        assert len(rows) == 8
        assert epoch.em == pytest.approx(100 * sum(row.em for row in rows) / len(rows))
        assert epoch.f1 == pytest.approx(100 * sum(row.f1 for row in rows) / len(rows))
        assert epoch.train_time_s == pytest.approx(sum(s.time_s for s in trial.steps if s.epoch == epoch.epoch))
    assert record.sampling.source == "psutil"
    assert (trial.directory / record.sampling.file).exists()
    assert record.memory.rss_gib > 0
    assert record.memory.allocated_gib is None


def test_broken_contenders_do_not_touch_the_others(execute):
    contenders = ["raises", "crashes", "diverges", "refuses", "fused_adamw"]
    run, listener = execute(contenders=contenders, plugins=[FAULTS], seeds=1)
    records = {trial.record.contender: trial.record for trial in run.trials if trial.record.kind == "job"}
    assert records["raises"].reason == "ValueError: broken on purpose"
    assert "SIGABRT" in records["crashes"].reason
    assert "the loss is nan at the end of epoch 1" in records["diverges"].reason
    assert (run.directory / "trials/diverges/0/steps.jsonl").exists()
    assert (records["refuses"].status, records["refuses"].reason) == ("not_applicable", "this test wants it so")
    assert records["baseline"].status == records["fused_adamw"].status == "done"
    profiles = {folder: status for folder, status, _ in listener.ended if folder.endswith("profile")}
    assert profiles["refuses/profile"] == "not_applicable"
    assert profiles["raises/profile"] == "failed"
    log = run.directory / "trials/raises/0/log.txt"
    assert "broken on purpose" in log.read_text()
    assert describe_outcome(records["raises"]) == "failed: ValueError: broken on purpose"


def test_a_trial_that_hangs_is_ended(execute):
    run, _ = execute(contenders=["hangs"], plugins=[FAULTS], trial_timeout_s=25.0, profile__enabled=False)
    hanging = next(trial.record for trial in run.trials if trial.record.contender == "hangs")
    assert hanging.reason == "ended after the time limit of 25 s"


def test_an_interrupted_run_goes_on_with_what_is_missing(execute, tmp_path):
    execute(profile__enabled=False)
    (tmp_path / "runs/r/trials/fused_adamw/0/trial.json").unlink()
    run, listener = execute(profile__enabled=False)
    assert listener.ended == [("baseline/0", "done", True), ("fused_adamw/0", "done", False)]
    assert run.missing == []


def test_another_configuration_under_the_same_name_is_refused(execute):
    execute(contenders=[], profile__enabled=False)
    with pytest.raises(ConfigError, match="holds a run with another configuration"):
        execute(contenders=[], profile__enabled=False, seeds=2)


def test_a_directory_that_is_no_run_is_left_alone(execute, tmp_path):
    (tmp_path / "runs/r").mkdir(parents=True)
    (tmp_path / "runs/r/precious.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not a run directory"):
        execute()
    assert [path.name for path in (tmp_path / "runs/r").iterdir()] == ["precious.txt"]


@pytest.mark.parametrize(
    "changes",
    [
        {"contenders": ["fused_adam"]},
        {"data__max_length": 513},
        {"data__train_size": 4, "training__epochs": 1},
        {"model__source": "nobody/none", "model__overrides": {}},
        {"data__source": "files", "data__train_file": "no.json", "data__validation_file": "no.json"},
    ],
    ids=["strategy", "length", "schedule", "model", "file"],
)
def test_mistakes_end_before_anything_is_written(changes, execute, tmp_path):
    with pytest.raises(HarnessError):
        execute(**changes)
    assert not (tmp_path / "runs").exists()


def test_saved_weights_are_those_that_were_trained(execute):
    run, _ = execute(contenders=[], profile__enabled=False, save_model=True)
    saved = run.directory / "trials/baseline/0/model"
    assert json.loads((saved / "config.json").read_text())["dim"] == 32
    assert (saved / "model.safetensors").exists()


def test_names_are_not_given_twice():
    taken = []

    def exists(name):
        taken.append(name)
        return len(taken) <= 2

    assert new_run_name("quick", exists).endswith("-3")
