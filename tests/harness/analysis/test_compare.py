"""Two runs side by side, and the gate."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.compare import Limits, compare_runs
from harness.errors import ConfigError
from harness.records.files import write_json
from harness.records.serialise import override
from harness.records.store import RUN_FILE, RunRecord, load_run, read_record
from harness.records.trial import QualitySetRecord

STRICT = Limits(max_slowdown=1.0, max_f1_loss=0.0)


def edit_config(run: Any, changes: dict[str, Any]) -> None:
    record = read_record(run / RUN_FILE, RunRecord)
    write_json(run / RUN_FILE, replace(record, config=override(record.config, changes)))


def edit_head(run: Path, **changes: Any) -> None:
    data = json.loads((run / RUN_FILE).read_text(encoding="utf-8"))
    data["environment"].update(changes)
    (run / RUN_FILE).write_text(json.dumps(data), encoding="utf-8")


def slower(data: dict[str, Any]) -> None:
    data["job_time_s"] *= 1.2


def test_a_run_against_itself_passes_a_gate_that_its_intervals_can_tell(make_run: Any) -> None:
    run = load_run(make_run())
    comparison = compare_runs(run, run, Limits(max_slowdown=1.1, max_f1_loss=2.0))
    assert [contender.name for contender in comparison.contenders][:2] == ["baseline", "amp_bf16"]
    assert comparison.contenders[0].job.change == pytest.approx(1.0)
    assert comparison.contenders[0].scores["f1"].change == 0.0
    assert (comparison.changed, comparison.failures, comparison.undecided) == ((), (), ())


def test_what_the_intervals_leave_open_is_undecided_and_no_failure(make_run: Any) -> None:
    run = load_run(make_run())
    comparison = compare_runs(run, run, STRICT)
    assert comparison.failures == ()
    assert comparison.undecided[0].startswith("baseline: 1.000 times the job time (0.9")
    assert comparison.undecided[1].startswith("baseline: F1 0.0 points (−")
    (contender, *_) = comparison.contenders
    assert len(contender.undecided) == 2


def test_without_an_interval_a_gate_is_undecided_whatever_the_estimate(make_run: Any, recorded: Any) -> None:
    a, b = make_run("a", seeds=1), make_run("b", seeds=1)
    recorded.edit_trial(b, "baseline/0", lambda data: data.update(job_time_s=3 * data["job_time_s"]))
    comparison = compare_runs(load_run(a), load_run(b), Limits(max_slowdown=1.5))
    assert comparison.failures == ()
    assert (
        "baseline: 3.000 times the job time, 1.5 allowed; one seed or other seeds, so no interval"
        in comparison.undecided
    )


def test_a_slower_run_fails_and_a_wide_limit_lets_it_pass(make_run: Any, recorded: Any) -> None:
    a, b = make_run("a"), make_run("b")
    for seed in (0, 1):
        recorded.edit_trial(b, f"baseline/{seed}", slower)
    comparison = compare_runs(load_run(a), load_run(b), Limits(max_slowdown=1.1))
    job = comparison.contenders[0].job
    assert job.change == pytest.approx(1.2)
    assert 1.1 < job.low < job.change < job.high < 1.3
    assert "baseline: 1.200 times the job time (1.1" in comparison.failures[0]
    assert compare_runs(load_run(a), load_run(b), Limits(max_slowdown=1.3)).failures == ()
    assert compare_runs(load_run(a), load_run(b), Limits()).failures == ()


def test_worse_answers_fail_the_gate_beyond_noise(make_run: Any) -> None:
    a, b = make_run("a"), make_run("b")
    for seed in (0, 1):
        path = b / f"trials/baseline/{seed}/predictions.json"
        answers = json.loads(path.read_text(encoding="utf-8"))
        answers["3"] = [row | {"scores": {"em": 0.0, "f1": 0.0}} for row in answers["3"]]
        path.write_text(json.dumps(answers), encoding="utf-8")
    comparison = compare_runs(load_run(a), load_run(b), Limits(max_f1_loss=1.0))
    assert "baseline: F1 −" in comparison.failures[0]
    json.dumps(asdict(comparison), allow_nan=False)


LIMITS = [Limits(max_slowdown=1.5), Limits(max_f1_loss=5.0)]


def drop_contender(run: Any, name: str) -> None:
    """Leave a run as if the contender had never been asked for."""
    record = read_record(run / RUN_FILE, RunRecord)
    trials = tuple(folder for folder in record.trials if f"/{name}/" not in folder)
    write_json(run / RUN_FILE, replace(record, trials=trials))
    shutil.rmtree(run / "trials" / name)


@pytest.mark.parametrize("limits", LIMITS)
def test_a_contender_that_is_gone_fails_the_gate(make_run: Any, limits: Limits) -> None:
    a, b = make_run("a"), make_run("b")
    for seed in (0, 1):
        shutil.rmtree(b / "trials/amp_bf16" / str(seed))
    assert compare_runs(load_run(a), load_run(b), limits).failures == ("amp_bf16: B has no whole job of it, A has",)
    assert compare_runs(load_run(a), load_run(b), Limits()).failures == ()


@pytest.mark.parametrize("limits", LIMITS)
def test_a_contender_that_b_was_not_asked_for_fails_the_gate(make_run: Any, limits: Limits) -> None:
    a, b = make_run("a"), make_run("b")
    drop_contender(b, "amp_bf16")
    assert compare_runs(load_run(a), load_run(b), limits).failures == ("amp_bf16: B does not have it",)
    assert compare_runs(load_run(a), load_run(b), Limits()).failures == ()
    assert compare_runs(load_run(b), load_run(a), limits).failures == ()


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("name", ["amp_bf16", "baseline"])
def test_one_failed_seed_fails_the_gate(make_run: Any, recorded: Any, name: str, limits: Limits) -> None:
    a, b = make_run("a"), make_run("b")
    recorded.record_outcome(b, name, 1, "failed", "boom")
    (failure,) = compare_runs(load_run(a), load_run(b), limits).failures
    assert failure == f"{name}: it failed in B, in A it did not: boom"
    assert compare_runs(load_run(b), load_run(b), limits).failures == ()


def test_a_job_time_that_was_not_measured_leaves_the_gate_undecided(make_run: Any, recorded: Any) -> None:
    a, b = make_run("a"), make_run("b")
    for seed in (0, 1):
        recorded.edit_trial(b, f"amp_bf16/{seed}", lambda data: data.update(job_time_s=None))
    comparison = compare_runs(load_run(a), load_run(b), Limits(max_slowdown=1.5))
    assert comparison.undecided == ("amp_bf16: its job time was not measured in both runs",)
    assert comparison.failures == ()
    assert compare_runs(load_run(a), load_run(b), Limits(max_f1_loss=5.0)).undecided == ()


def test_one_seed_has_no_interval(make_run: Any) -> None:
    run = load_run(make_run(seeds=1))
    assert compare_runs(run, run, Limits()).contenders[0].job.low is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"task": "sequence_classification"}, "task is"),
        ({"model.source": "bert-base-uncased"}, "model.source"),
        ({"data.max_length": 128}, "data.max_length"),
        ({"training.epochs": 9}, "training.epochs"),
        ({"baseline": "sdpa"}, "baseline"),
    ],
)
def test_what_cant_be_compared_is_named(make_run: Any, changes: dict[str, Any], field: str) -> None:
    a, b = make_run("a"), make_run("b")
    edit_config(b, changes)
    with pytest.raises(ConfigError, match=field):
        compare_runs(load_run(a), load_run(b), Limits())


def test_another_power_limit_is_told_and_what_one_run_did_not_record_is_not(make_run: Any) -> None:
    a, b, old = make_run("a"), make_run("b"), make_run("old")
    for run, limit_w in ((a, 700.0), (b, 400.0)):
        edit_head(run, gpu_settings={"power_limit_w": limit_w, "ecc": True})
    assert compare_runs(load_run(a), load_run(b), Limits()).changed == ("GPU power_limit_w: 700.0 → 400.0",)
    assert compare_runs(load_run(old), load_run(b), Limits()).changed == ()


def test_other_hardware_is_refused_and_other_versions_are_told(make_run: Any, recorded: Any) -> None:
    a, b = make_run("a"), make_run("b")
    recorded.edit_trial(b, "baseline/0", lambda data: data["environment"]["packages"].update(torch="2.14.0"))
    assert "torch: 2.13.0 → 2.14.0" in compare_runs(load_run(a), load_run(b), Limits()).changed
    recorded.edit_trial(b, "baseline/0", lambda data: data["environment"].update(cpu_cores=64))
    with pytest.raises(ConfigError, match=r"environment\.cpu_cores is 2 in A and 64 in B"):
        compare_runs(load_run(a), load_run(b), Limits())


def test_a_run_without_a_baseline_is_refused(make_run: Any) -> None:
    a, b = make_run("a"), make_run("b")
    shutil.rmtree(b / "trials/baseline")
    with pytest.raises(ConfigError, match="no whole baseline job"):
        compare_runs(load_run(a), load_run(b), Limits())


@pytest.mark.parametrize(
    "limits",
    [{"max_slowdown": 0.9}, {"max_f1_loss": -1.0}, {"max_slowdown": math.nan}, {"max_f1_loss": math.nan}],
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Limits(**limits)


def test_where_every_job_answered_a_quality_set_its_scores_are_compared(make_run: Any) -> None:
    runs = [load_run(make_run(name)) for name in ("a", "b")]
    for run in runs:
        for trial in run.trials:
            if trial.predictions:
                answers = [
                    replace(row, scores={"em": 1.0, "f1": 1.0}) for row in trial.predictions[max(trial.predictions)]
                ]
                found = QualitySetRecord(examples=len(answers), windows=9, scores={"em": 77.0, "f1": 78.0}, time_s=1.0)
                object.__setattr__(trial, "quality_set", answers)
                object.__setattr__(trial, "record", replace(trial.record, quality_set=found))
    f1 = compare_runs(*runs, Limits()).contenders[0].scores["f1"]
    assert (f1.a, f1.b, f1.change) == (78.0, 78.0, 0.0)
