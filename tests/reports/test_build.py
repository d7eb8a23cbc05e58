"""All reports of a run directory."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.errors import RecordError
from reports.build import build_reports

FIGURES = (
    "speedup",
    "phases",
    "ledger",
    "waterfall",
    "epochs",
    "wall_clock",
    "samples",
    "roofline",
    "speedup-amp_bf16",
)


def test_everything_is_written_and_links_lead_somewhere(built_run: Path, analysed: Any) -> None:
    data = json.loads((built_run / "analysis.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert [contender["name"] for contender in data["contenders"]] == [c.name for c in analysed(built_run).contenders]
    text = (built_run / "report.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert {f"figures/{name}.svg" for name in FIGURES} <= set(targets)
    for target in targets:
        assert target.startswith("https://") or (built_run / target).exists(), target
    for name in ("report.md", "report.html"):
        assert str(built_run) not in (built_run / name).read_text(encoding="utf-8")


def test_building_again_is_the_same_and_removes_stale_figures(make_run: Any) -> None:
    run = make_run(seeds=1)
    build_reports(run)
    first = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    (run / "figures" / "old.svg").write_text("", encoding="utf-8")
    build_reports(run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == first


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
