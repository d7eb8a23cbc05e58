"""Reports from what a GPU run left: unpack the archives, build the reports, copy what is published.

`python tests/gpu/publish.py ARCHIVE… [--to reports/published]`; a folder stands for the archives in it. Records stay in
the folder `--work`, reports, figures and traces go to `reports/published/RUN-GPU`, with the GPU's name as the run found
it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from tables import phases_table, read_job  # noqa: E402

from harness.records.store import ANALYSIS_FILE, RUN_FILE, read_record  # noqa: E402
from harness.records.trial import RunRecord  # noqa: E402
from reports.build import PAGE_FILE, REPORT_FILE, TENSORBOARD_FOLDER, build_reports  # noqa: E402
from reports.markdown import FIGURE_FOLDER  # noqa: E402

PUBLISHED = (ANALYSIS_FILE, REPORT_FILE, PAGE_FILE, FIGURE_FOLDER, TENSORBOARD_FOLDER)
TRACES = "trials/*/profile/trace/*"
COLD_AND_WARM = "cold-and-warm.md"


def find_archives(given: list[Path]) -> list[Path]:
    """Return the archives; those in a folder by name. SystemExit if there is none."""
    found = [archive for path in given for archive in (sorted(path.glob("*.tar.gz")) if path.is_dir() else [path])]
    if not found:
        raise SystemExit(f"no archive in {', '.join(map(str, given))}")
    return found


def unpack(archive: Path, folder: Path) -> set[Path]:
    """Write an archive's files below a folder; return what is at its top; SystemExit if one would lie elsewhere."""
    root = folder.resolve()
    parts = set()
    with tarfile.open(archive) as tar:
        for member in tar:
            target = (root / member.name).resolve()
            if not target.is_relative_to(root):
                raise SystemExit(f"{archive} holds {member.name}, which would lie outside of {folder}")
            data = tar.extractfile(member) if member.isfile() else None
            if data is not None:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data.read())
                parts.add(folder / target.relative_to(root).parts[0])
    return parts


def published_name(run: RunRecord) -> str:
    """Return the folder's name: the run's, and the device's as the run found it."""
    gpu = run.environment.get("gpu") or {}
    device = str(gpu.get("name") or run.environment.get("device_name") or "unknown device")
    return f"{run.name}-{slug(device)}"


def slug(text: str) -> str:
    """Return a text as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def publish(directory: Path, to: Path) -> Path:
    """Build a run's reports and copy what is published; SystemExit if that is there already."""
    target = to / published_name(read_record(directory / RUN_FILE, RunRecord))
    if target.exists():
        raise SystemExit(f"{target} exists; remove it, or give another folder with --to")
    build_reports(directory)
    wanted = [directory / name for name in PUBLISHED] + sorted(directory.glob(TRACES))
    for source in wanted:
        copy = target / source.relative_to(directory)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy)
        else:
            shutil.copyfile(source, copy)
    return target


def cold_and_warm(folder: Path) -> str | None:
    """Return the cold job's phases beside the warm one's, as markdown; None without both."""
    jobs = {name: read_job(folder / "jobs" / name / "trial.json") for name in ("cold", "warm")}
    done = {name: job for name, job in jobs.items() if job is not None}
    if len(done) < len(jobs):
        return None
    title = f"# {done['cold']['contender']}: the same job with empty caches, and again"
    return "\n".join([title, "", *phases_table(done), ""])


def main(arguments: list[str]) -> int:
    """Unpack, build, copy; print where it lies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archives", type=Path, nargs="+")
    parser.add_argument("--to", type=Path, default=ROOT / "reports" / "published")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "from-gpu", help="where records are unpacked to")
    options = parser.parse_args(arguments)
    parts = set().union(*(unpack(archive, options.work) for archive in find_archives(options.archives)))
    runs = sorted(part for part in parts if (part / RUN_FILE).exists())
    if not runs:
        raise SystemExit(f"no run in {', '.join(map(str, options.archives))}")
    pair = cold_and_warm(options.work)
    for directory in runs:
        target = publish(directory, options.to)
        if pair is not None:
            (target / COLD_AND_WARM).write_text(pair, encoding="utf-8")
        print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
