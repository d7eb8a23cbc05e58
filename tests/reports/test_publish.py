"""Every published report is what its records give, word for word and figure for figure.

After a wanted change of reports or analysis: `make published`, then read what changed in `reports/published/`.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ConfigError
from harness.records.archive import unpack_run
from reports.publish import PUBLISHED, publish, published_runs, rebuild

MOST_MIB = 1.0
"""Of one file."""


@pytest.mark.parametrize("published", published_runs(), ids=lambda folder: folder.name)
def test_a_published_report_is_what_its_records_give(published: Path, tmp_path: Path) -> None:
    copy = tmp_path / published.name
    shutil.copytree(published, copy)
    rebuild(copy)
    assert (copy / "report.md").read_text() == (published / "report.md").read_text(), "see this test's docstring"
    for folder in (published, copy):
        figures = {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}
        assert figures == {path.name: path.read_bytes() for path in (published / "figures").iterdir()}
    assert all(path.stat().st_size <= MOST_MIB * 2**20 for path in published.rglob("*") if path.is_file())


def test_there_are_published_runs_and_the_page_names_each() -> None:
    page = (PUBLISHED / "README.md").read_text()
    assert published_runs()
    assert all(f"]({folder.name}/report.md)" in page for folder in published_runs())


def test_a_run_is_published_under_its_devices_name_and_once(make_run: Any, tmp_path: Path) -> None:
    run = make_run(seeds=1)
    folder = publish(run, tmp_path / "published")
    assert {path.name for path in folder.iterdir()} == {"run.json", "records", "report.md", "figures"}
    assert folder.name == "quick-recorded-a-processor-r-3000-2-0ghz"
    assert published_runs(tmp_path / "published") == [folder]
    unpack_run(folder, tmp_path / "again")
    assert (tmp_path / "again/trials/baseline/0/trial.json").exists()
    with pytest.raises(ConfigError, match="exists"):
        publish(run, tmp_path / "published")
