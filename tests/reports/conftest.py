"""Recorded runs for the tests of the reports."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.storage import load_run


@pytest.fixture(scope="session")
def recorded() -> ModuleType:
    """The builder of run directories, `recorded_run.py`."""
    path = Path(__file__).with_name("recorded_run.py")
    spec = importlib.util.spec_from_file_location("recorded_run", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make_run(recorded: ModuleType, tmp_path: Path) -> Any:
    """Return a factory of run directories."""
    return lambda name="run", **options: recorded.record_run(tmp_path / name, **options)


@pytest.fixture
def analysed() -> Any:
    """Return a function from a run directory to its analysis."""

    def load(directory: Path) -> Analysis:
        return analyse(load_run(directory))

    return load
