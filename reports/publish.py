"""Published runs: packed records, and the report and figures that they give, in a folder that says on which device.

`python -m reports.publish` builds the reports of all of them again, `python -m reports.publish RUN …` adds runs.
HTML, event files and traces are built when asked for: `speedproof report reports/published/NAME`.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from pathlib import Path

from harness.errors import ConfigError
from harness.records.archive import is_packed, pack_run, unpack_run
from harness.records.store import RUN_FILE, read_record
from harness.records.trial import RunRecord
from reports.build import REPORT_FILE, build_reports
from reports.markdown import FIGURE_FOLDER

PUBLISHED = Path(__file__).parent / "published"


def publish(run: Path, to: Path = PUBLISHED) -> Path:
    """Pack a run into a folder named after it and its device, with its report; ConfigError if that is there already."""
    head = read_record(run / RUN_FILE, RunRecord)
    gpu = head.environment.get("gpu") or {}
    device = str(gpu.get("name") or head.environment.get("device_name") or "unknown device").lower()
    target = to / f"{head.name}-{re.sub(r'[^a-z0-9]+', '-', device).strip('-')}"
    if target.exists():
        raise ConfigError(f"{target} exists", remedy="remove it, or give another folder with --to")
    pack_run(run, target)
    rebuild(target)
    return target


def rebuild(published: Path) -> None:
    """Build a published run's report and figures again, from its records."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / published.name
        unpack_run(published, run)
        build_reports(run)
        shutil.copyfile(run / REPORT_FILE, published / REPORT_FILE)
        shutil.rmtree(published / FIGURE_FOLDER, ignore_errors=True)
        shutil.copytree(run / FIGURE_FOLDER, published / FIGURE_FOLDER)


def published_runs(folder: Path = PUBLISHED) -> list[Path]:
    """Return the folders of published runs."""
    return sorted(filter(is_packed, folder.iterdir()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*", metavar="RUN", help="directory of a run to publish")
    given = parser.parse_args().runs
    for run in given:
        print(publish(run))
    if not given:
        for published in published_runs():
            rebuild(published)
