"""Published runs from what a GPU machine left: unpack its archives, pack the records, build the reports.

`python tests/gpu/publish.py ARCHIVE… [--to reports/published]`; a folder stands for the archives in it. Records stay in
the folder `--work` too; they go, packed, with report and figures to `reports/published/RUN-GPU`, with the GPU's name as
the run found it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from tables import phases_table, read_job  # noqa: E402

from harness.errors import HarnessError  # noqa: E402
from harness.records.archive import archived_files  # noqa: E402
from harness.records.store import RUN_FILE  # noqa: E402
from reports.publish import PUBLISHED, publish  # noqa: E402

COLD_AND_WARM = "cold-and-warm.md"


def find_archives(given: list[Path]) -> list[Path]:
    """Return the archives; those in a folder by name. SystemExit if there is none."""
    found = [archive for path in given for archive in (sorted(path.glob("*.tar.gz")) if path.is_dir() else [path])]
    if not found:
        raise SystemExit(f"no archive in {', '.join(map(str, given))}")
    return found


def unpack(archive: Path, folder: Path) -> set[Path]:
    """Write an archive's files below a folder; return what is at its top."""
    parts = set()
    for name, data in archived_files(archive):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        parts.add(folder / name.parts[0])
    return parts


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
    parser.add_argument("--to", type=Path, default=PUBLISHED)
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
    try:
        sys.exit(main(sys.argv[1:]))
    except HarnessError as error:
        sys.exit(str(error))
