"""The same recorded runs as the tests of the reports use."""

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
    path = Path(__file__).parents[2] / "reports" / "recorded_run.py"
    spec = importlib.util.spec_from_file_location("recorded_run_for_analysis", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make_run(recorded: ModuleType, tmp_path: Path) -> Any:
    return lambda name="run", **options: recorded.record_run(tmp_path / name, **options)


@pytest.fixture
def analysed() -> Any:
    def load(directory: Path) -> Analysis:
        return analyse(load_run(directory))

    return load
