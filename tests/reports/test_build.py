"""All reports of a run directory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.errors import RecordError
from reports.build import build_reports


def test_everything_is_written_and_links_lead_somewhere(make_run: Any) -> None:
    run = make_run()
    analysis = build_reports(run)
    data = json.loads((run / "analysis.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert [contender["name"] for contender in data["contenders"]] == [c.name for c in analysis.contenders]
    text = (run / "report.md").read_text(encoding="utf-8")
    for name in ("speedup", "phases", "epochs", "samples"):
        assert f"](figures/{name}.svg)" in text
        assert (run / "figures" / f"{name}.svg").exists()
    assert str(run) not in text


def test_building_again_is_the_same_and_removes_stale_figures(make_run: Any) -> None:
    run = make_run(seeds=1)
    build_reports(run)
    first = {name: (run / name).read_bytes() for name in ("analysis.json", "report.md", "figures/phases.svg")}
    (run / "figures" / "old.svg").write_text("", encoding="utf-8")
    started = time.perf_counter()
    build_reports(run)
    assert time.perf_counter() - started < 20  # 5 s is the goal; a busy machine may be slower
    assert {name: (run / name).read_bytes() for name in first} == first
    assert not (run / "figures" / "old.svg").exists()


def test_a_run_without_trials_still_has_a_report(make_run: Any) -> None:
    run = make_run()
    shutil.rmtree(run / "trials")
    build_reports(run)
    assert "No speedups" in (run / "report.md").read_text(encoding="utf-8")
    assert (run / "tensorboard").is_dir()


def test_a_run_without_head_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"run\.json is missing"):
        build_reports(tmp_path)


def test_reports_never_import_torch() -> None:
    code = (
        "import sys, reports.build, reports.console;"
        "sys.exit(', '.join(n for n in ('torch', 'transformers', 'tensorflow') if n in sys.modules))"
    )
    root = Path(harness.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
