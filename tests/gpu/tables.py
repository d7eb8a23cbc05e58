"""Tables of what a call left, from its records as they lie on disk: nothing but the standard library is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TRIAL_FILE = "trial.json"

UNKNOWN = "–"


def finished_trials(folder: Path) -> list[Path]:
    """Return the records of all trials that have ended below a folder."""
    return sorted(folder.rglob(TRIAL_FILE))


def read_job(path: Path) -> dict[str, Any] | None:
    """Return the record of a job that ended; None for other trials, and for what can't be read."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        is_job = record["kind"] == "job" and record["status"] == "done" and record["job_time_s"] is not None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if is_job else None


def number(value: float | None, digits: int = 1) -> str:
    """Return a number for a table; what was not measured is not 0."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def jobs_table(folder: Path) -> list[str]:
    """Return a markdown table of all jobs below a folder, as they ran; no lines without any."""
    lines = ["| job | whole, s | training, s | EM | F1 |", "| --- | ---: | ---: | ---: | ---: |"]
    for path in finished_trials(folder):
        record = read_job(path)
        if record is not None:
            epochs = record["epochs"]
            last = epochs[-1] if epochs else {"scores": {}}
            training_s = sum(epoch["train_time_s"] for epoch in epochs) if epochs else None
            cells = [
                number(record["job_time_s"], 2),
                number(training_s, 2),
                number(last["scores"].get("em")),
                number(last["scores"].get("f1")),
            ]
            lines.append(f"| {path.parent.relative_to(folder)} | {' | '.join(cells)} |")
    return lines if len(lines) > 2 else []


def phases_table(jobs: dict[str, dict[str, Any]]) -> list[str]:
    """Return a markdown table of jobs beside each other, phase by phase in the first one's order; {} gives none."""
    if not jobs:
        return []
    phases = dict.fromkeys(name for job in jobs.values() for name in job["phases_s"])
    lines = [f"| seconds | {' | '.join(jobs)} |", f"| --- |{' ---: |' * len(jobs)}"]
    for phase in phases:
        cells = [number(job["phases_s"].get(phase), 2) for job in jobs.values()]
        lines.append(f"| {phase.replace('_', ' ')} | {' | '.join(cells)} |")
    totals = [number(job["job_time_s"], 2) for job in jobs.values()]
    return [*lines, f"| whole job | {' | '.join(totals)} |"]
