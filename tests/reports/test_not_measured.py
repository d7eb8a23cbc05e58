"""Where the machine was busy there is no number for speed, in no report, and the true cause stands in its place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from reports.build import build_reports
from reports.console import print_table

BUSY = "other processes used 1.30 of 2 processor cores"


def spoil(data: dict[str, Any]) -> None:
    """Make a step look 3.9 times as fast, in blocks of which none counts."""
    for block in data["speed"]["blocks"]:
        block["contamination"] = [BUSY]
        block["contender_s"] = [time_s / 3.9 for time_s in block["baseline_s"]]


CAUSES = {
    "amp_bf16/speed": f"10 of 10 timed blocks spoilt: {BUSY} (in 10 blocks alike).",
    "baseline/speed": "no noise floor: of the baseline against itself (A/A) 10 of 10 timed blocks spoilt: "
    f"{BUSY} (in 10 blocks alike).",
}
"""What was spoilt, and what is said of `amp_bf16` then."""


@pytest.fixture(scope="module", params=CAUSES)
def built(request: Any, recorded: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, str]:
    run = recorded.record_run(tmp_path_factory.mktemp("busy") / "run", failed=False)
    recorded.edit_trial(run, request.param, spoil)
    return run, build_reports(run), CAUSES[request.param]


def test_the_cause_is_that_the_machine_was_busy(built: tuple[Path, Any, str]) -> None:
    report = (built[0] / "report.md").read_text(encoding="utf-8")
    assert f"`amp_bf16` **NOT_MEASURED**: {built[2]}" in report
    assert "Not measured: `amp_bf16`" in report.splitlines()[2]


def test_no_table_and_no_sentence_of_the_report_has_a_speed_of_it(built: tuple[Path, Any, str]) -> None:
    report = (built[0] / "report.md").read_text(encoding="utf-8")
    mine = [line for line in report.splitlines() if re.match(r"\| `amp_bf16`|- `amp_bf16`", line)]
    assert len(mine) >= 4
    told = [line for line in mine if re.search(r"\d×|/s\b| ms\b", line)]
    # What the baseline alone predicts, and the gradient's norm beside the baseline's, are no speeds of it.
    assert [line for line in told if "| not measured |" not in line and not line.endswith("1.00× |")] == []
    assert len(told) == 2
    for text in (report, (built[0] / "report.html").read_text(encoding="utf-8")):
        assert not re.search(r"3\.9\d*×|1\.6\d*×", text)
    assert not (built[0] / "figures" / "speedup-amp_bf16.svg").exists()


def test_neither_have_the_console_the_analysis_and_tensorboard(built: tuple[Path, Any, str]) -> None:
    run, analysis, _ = built
    console = Console(record=True, width=140)
    print_table(analysis, console)
    (row,) = (line for line in console.export_text().splitlines() if line.lstrip().startswith("amp_bf16 "))
    assert row.count("not measured") == 2
    assert "×" not in row
    (mine,) = (c for c in json.loads((run / "analysis.json").read_text())["contenders"] if c["name"] == "amp_bf16")
    assert (mine["verdict"], mine["speed"], mine["job_speedup"], mine["step_speedup"]) == ("NOT_MEASURED", *[None] * 3)
    assert (mine["evidence"]["job"], mine["evidence"]["speed"]["training"], mine["waterfall"]) == (None, None, None)
    assert mine["evidence"]["warm_up"]["saved_per_step_s"] is None
    events = EventAccumulator(str(run / "tensorboard" / "amp_bf16")).Reload()
    assert not [tag for tag in events.Tags()["scalars"] if "speedup" in tag]


def test_its_scores_and_the_other_contenders_are_told_as_ever(built: tuple[Path, Any, str]) -> None:
    _, analysis, cause = built
    by_name = {contender.name: contender for contender in analysis.contenders}
    assert by_name["amp_bf16"].quality == "HOLDS"
    alone = cause == CAUSES["amp_bf16/speed"]
    assert by_name["fused_adamw+sdpa"].verdict == ("ACCEPTED" if alone else "NOT_MEASURED")
    assert [point.contender for point in (analysis.roofline.points if analysis.roofline else ())] != ["amp_bf16"]
