"""Which run directories a TensorBoard log directory belongs to, and which files below them may be served."""

from __future__ import annotations

from pathlib import Path

from harness.records.store import ANALYSIS_FILE, RUN_FILE

TRACE_SUFFIX = ".pt.trace.json.gz"


def is_run(directory: Path) -> bool:
    """Whether the directory is a run: one that is still being made, or one whose records were left out."""
    return (directory / RUN_FILE).is_file() or (directory / ANALYSIS_FILE).is_file()


def find_runs(logdir: Path) -> dict[str, Path]:
    """Return the run directories by name, the newest first; empty if there are none.

    `logdir` is a run's `tensorboard/`, the run itself, or a folder of runs.
    """
    logdir = logdir.resolve()
    for candidate in (logdir, logdir.parent):
        if is_run(candidate):
            return {candidate.name: candidate}
    if not logdir.is_dir():
        return {}
    runs = [child for child in logdir.iterdir() if child.is_dir() and is_run(child)]
    newest_s = {
        run: max((run / name).stat().st_mtime for name in (ANALYSIS_FILE, RUN_FILE) if (run / name).is_file())
        for run in runs
    }
    return {run.name: run for run in sorted(runs, key=lambda run: (newest_s[run], run.name), reverse=True)}


def file_inside(root: Path, relative: str, suffixes: tuple[str, ...]) -> Path | None:
    """Return the file `relative` below `root`, links followed.

    None if it is not there, does not end in one of the suffixes, or lies outside of `root` in truth.
    """
    try:
        path = (root / relative).resolve()
        if path.is_relative_to(root.resolve()) and path.name.endswith(suffixes) and path.is_file():
            return path
    except (OSError, ValueError):  # A name that is too long, or one with a zero byte.
        pass
    return None


def find_jobs(run: Path) -> list[Path]:
    """Return the folders of a run's whole fine-tunings, finished or not: `trials/<contender>/<number>`."""
    return sorted(folder for folder in run.glob("trials/*/*") if folder.name.isdigit() and folder.is_dir())
