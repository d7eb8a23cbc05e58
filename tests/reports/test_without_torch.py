"""The reports of a run directory can be built where there is no torch."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

BUILD = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "datasets", "evaluate"):
            raise ImportError(f"{name} is not here")
sys.meta_path.insert(0, Refuse())
from pathlib import Path
from reports.build import build_reports
print([contender.verdict for contender in build_reports(Path(sys.argv[1])).contenders])
"""


def test_reports_are_built_without_torch(make_run: Any) -> None:
    run = make_run(seeds=1)
    done = subprocess.run([sys.executable, "-c", BUILD, str(run)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ACCEPTED" in done.stdout
    assert (run / "report.md").exists()
