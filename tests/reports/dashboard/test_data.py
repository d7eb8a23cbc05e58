"""Where the dashboard finds runs, and what it makes of their records."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.model import Analysis
from harness.errors import RecordError
from harness.records.serialise import build
from harness.records.store import ANALYSIS_FILE, RUN_FILE
from reports.answer import result_sentence
from reports.dashboard.data import overview
from reports.dashboard.runs import find_runs
from reports.dashboard.series import curves, samples


def test_a_run_is_found_from_its_tensorboard_folder_itself_and_the_folder_above(tmp_path: Path) -> None:
    for name, age_s in (("old", 100.0), ("new", 50.0)):
        run = tmp_path / "runs" / name
        (run / "tensorboard").mkdir(parents=True)
        (run / RUN_FILE).write_text("{}", encoding="utf-8")
        os.utime(run / RUN_FILE, (1_700_000_000 - age_s,) * 2)
    old = tmp_path / "runs" / "old"
    assert find_runs(old / "tensorboard") == {"old": old.resolve()}
    assert find_runs(old) == {"old": old.resolve()}
    assert list(find_runs(tmp_path / "runs")) == ["new", "old"]
    assert find_runs(tmp_path / "elsewhere") == {}


def test_the_overview_holds_the_sentence_of_the_report_and_the_analysis_as_it_is(run: Path) -> None:
    page = overview(run)
    analysis = json.loads((run / ANALYSIS_FILE).read_text(encoding="utf-8"))
    assert page["analysis"] == analysis
    assert page["sentence"] == result_sentence(build(Analysis, analysis))
    assert page["problem"] is None
    assert [job["contender"] for job in page["jobs"]][:3] == ["baseline", "baseline", "amp_bf16"]


def test_pages_speak_the_tasks_own_words(run: Path) -> None:
    page = overview(run)
    assert (page["examples"], page["phase_words"]["scoring"]) == ("questions", "scoring (EM, F1)")
    assert len(page["reference"]["epochs"]) == 5
    path = run / ANALYSIS_FILE
    analysis = json.loads(path.read_text(encoding="utf-8"))
    analysis["run"]["config"]["task"] = "sequence_classification"
    analysis["scoring"] = {"metrics": [{"name": "accuracy", "title": "accuracy"}], "headline": "accuracy"}
    for contender in analysis["contenders"]:
        contender["phases_s"].pop("span_search", None)
    path.write_text(json.dumps(analysis), encoding="utf-8")
    page = overview(run)
    assert (page["examples"], page["phase_words"]["scoring"]) == ("examples", "scoring (accuracy)")
    assert "span search and scoring" not in page["phase_groups"]
    assert page["reference"] is None


def test_an_analysis_of_another_version_is_shown_and_said_to_be_one(run: Path) -> None:
    path = run / ANALYSIS_FILE
    analysis = json.loads(path.read_text(encoding="utf-8"))
    analysis["schema_version"], analysis["spread"] = 1, "range"
    path.write_text(json.dumps(analysis), encoding="utf-8")
    page = overview(run)
    assert page["sentence"] is None
    assert "schema version 1" in page["problem"]


def test_losses_and_scores_lie_at_the_seconds_since_the_process_started(run: Path, recorded: Any) -> None:
    curve = next(c for c in curves(run)["curves"] if (c["contender"], c["seed"]) == ("baseline", 0))
    before_training_s = 0.05 + 3.2 + 0.1 + 0.2 + 0.9 + 0.01 + 0.6
    assert curve["training_start_s"] == pytest.approx(before_training_s)
    steps = recorded.make_steps("baseline", 1.0, 0)
    assert curve["step_times_s"][0] == pytest.approx(before_training_s + steps[0].time_s)
    evaluations_s = 2 * 3.3
    assert curve["step_times_s"][-1] == pytest.approx(
        before_training_s + sum(step.time_s for step in steps) + evaluations_s
    )
    assert curve["losses"] == [step.loss for step in steps]
    assert curve["epochs"][-1]["time_s"] == pytest.approx(curve["step_times_s"][-1] + 3.3)
    assert [epoch["scores"]["f1"] for epoch in curve["epochs"]] == [15.0, 30.0, 45.0]


def test_a_damaged_trial_is_named_and_left_out(run: Path) -> None:
    (run / "trials/amp_bf16/0/trial.json").write_text("{", encoding="utf-8")
    drawn = curves(run)
    assert ("amp_bf16", 0) not in [(c["contender"], c["seed"]) for c in drawn["curves"]]
    assert any("amp_bf16" in problem for problem in drawn["problems"])


def test_samples_without_a_gpu_are_the_hosts(run: Path) -> None:
    seen = samples(run, "baseline", "0")
    assert seen["source"] == "psutil"
    assert seen["training_s"] == [[10.0, 30.0]]
    assert seen["times_s"][:3] == [0.0, 1.0, 2.0]
    assert set(seen["series"]) == {
        "process_cpu_percent", "rss_gib", "load_average_1min", "system_cpu_percent", "swap_used_gib",
    }  # fmt: skip
    assert [panel["title"] for panel in seen["panels"]] == ["CPU", "Memory (GiB)", "Load average"]
    assert {name for panel in seen["panels"] for name in panel["lines"]} == set(seen["series"])
    assert seen["throttle_reasons"] is None


def test_samples_of_a_gpu_leave_out_what_was_not_measured(make_run: Any) -> None:
    run = make_run(gpu=True)
    seen = samples(run, "baseline", "0")
    assert seen["source"] == "nvml"
    assert seen["series"]["power_w"][0] == 400.0
    assert "memory_clock_mhz" not in seen["series"]
    assert seen["throttle_reasons"] == {}


@pytest.mark.parametrize(("contender", "number"), [("nobody", "0"), ("..", "0"), ("baseline", "../../x"), ("", "")])
def test_samples_of_a_job_that_is_not_there_are_refused(run: Path, contender: str, number: str) -> None:
    with pytest.raises(RecordError, match="there is no job"):
        samples(run, contender, number)


def test_samples_are_read_from_inside_of_the_trial_only(run: Path, recorded: Any) -> None:
    (run / "elsewhere.csv").write_text("timestamp_s\n", encoding="utf-8")
    recorded.edit_trial(run, "baseline/0", lambda data: data["sampling"].update(file="../../../elsewhere.csv"))
    with pytest.raises(RecordError, match="missing"):
        samples(run, "baseline", "0")
