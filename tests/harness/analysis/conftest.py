"""The same recorded runs as the tests of the reports use, and traces written by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.records.store import load_run


@pytest.fixture(scope="session")
def recorded() -> ModuleType:
    return _load(Path(__file__).parents[2] / "reports" / "recorded_run.py", "recorded_run_for_analysis")


@pytest.fixture(scope="session")
def trace_builder() -> ModuleType:
    return _load(Path(__file__).with_name("trace_builder.py"), "trace_builder_for_analysis")


def _load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
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
