"""Recorded runs for the tests of the reports."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.records.store import load_run
from reports.build import build_reports
from reports.markdown import to_markdown
from reports.report import compose_report


def load_by_path(name: str) -> ModuleType:
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def recorded() -> ModuleType:
    """The builder of run directories, `recorded_run.py`."""
    return load_by_path("recorded_run")


@pytest.fixture(scope="session")
def cases() -> ModuleType:
    """The runs whose reports are golden files, `recorded_cases.py`."""
    return load_by_path("recorded_cases")


@pytest.fixture(scope="session")
def explained() -> ModuleType:
    """Ledgers, a diagnosis and a roof by hand, `explained.py`."""
    return load_by_path("explained")


@pytest.fixture
def make_run(recorded: ModuleType, tmp_path: Path) -> Any:
    """Return a factory of run directories."""
    return lambda name="run", **options: recorded.record_run(tmp_path / name, **options)


@pytest.fixture(scope="session")
def built_run(recorded: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run on a GPU with all its reports, for tests that only read it."""
    run = recorded.record_run(tmp_path_factory.mktemp("built") / "run", gpu=True)
    build_reports(run)
    return run


@pytest.fixture
def analysed() -> Any:
    """Return a function from a run directory to its analysis."""

    def load(directory: Path) -> Analysis:
        return analyse(load_run(directory))

    return load


@pytest.fixture
def render() -> Any:
    """Return a function from an analysis to report.md; `drawn` names the figures that there are."""
    return lambda analysis, drawn=(): to_markdown(compose_report(analysis, drawn))
