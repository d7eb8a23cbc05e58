"""speedproof from Python."""

from __future__ import annotations

import subprocess
import sys

import pytest

import harness
from harness.presets import preset
from harness.records.serialise import override


def test_importing_the_package_imports_no_torch():
    code = "import sys, harness; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.usefixtures("needs_bundled")
def test_run_returns_the_records_of_the_run(tmp_path):
    changes = {"contenders": [], "profile.enabled": False, "training.epochs": 1}
    config: harness.RunConfig = override(preset("smoke"), changes)
    loaded = harness.run(config, name="mine", runs_directory=tmp_path / "runs", cache_directory=tmp_path / "cache")
    assert loaded.directory == tmp_path / "runs/mine"
    assert [(trial.record.kind, trial.record.status) for trial in loaded.trials] == [
        ("job", "done"),
        ("speed", "done"),
        ("speed", "done"),
    ]
    assert loaded.trials[0].record.untrained is not None
