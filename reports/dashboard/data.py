"""What the dashboard's pages are made of: plain data, ready for JSON. What was not measured is None, never 0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.analysis.model import Analysis
from harness.analysis.trace.model import CATEGORY_WORDS
from harness.errors import ConfigError, RecordError
from harness.records.serialise import build
from harness.records.store import ANALYSIS_FILE
from reports import reference
from reports.dashboard.perfetto import MISSING, find_perfetto
from reports.dashboard.runs import find_jobs, find_traces
from reports.phases import PHASE_GROUPS, PHASE_WORDS
from reports.verdicts import result_sentence


def overview(run: Path) -> dict[str, Any]:
    """Return the analysis, the sentence above it, and the words and lists that the pages need.

    Raises RecordError if there is no readable `analysis.json`.
    """
    analysis = read_analysis(run)
    whole = as_written_now(analysis)
    order = [contender["name"] for contender in analysis["contenders"]]
    return {
        "name": run.name,
        "analysis": analysis,
        "sentence": None if whole is None else result_sentence(whole),
        "problem": other_version(analysis) if whole is None else None,
        "category_words": CATEGORY_WORDS,
        "phase_words": PHASE_WORDS,
        "phase_groups": PHASE_GROUPS,
        "reference": published(whole),
        "jobs": sorted(list_jobs(run), key=lambda job: _place(order, job["contender"])),
        "traces": sorted(list_traces(run), key=lambda trace: _place(order, trace["contender"])),
        "perfetto_missing": MISSING if find_perfetto() is None else None,
    }


def _place(order: list[Any], contender: str) -> int:
    return order.index(contender) if contender in order else len(order)


def list_jobs(run: Path) -> list[dict[str, Any]]:
    """Return the run's whole fine-tunings: contender and number."""
    return [{"contender": folder.parent.name, "number": folder.name} for folder in find_jobs(run)]


def list_traces(run: Path) -> list[dict[str, Any]]:
    """Return the run's traces: contender, path in the run directory, size."""
    return [
        {
            "contender": trace.parent.parent.parent.name,
            "file": trace.relative_to(run).as_posix(),
            "size_mib": trace.stat().st_size / 2**20,
        }
        for trace in find_traces(run)
    ]


def published(analysis: Analysis | None) -> dict[str, Any]:
    """Return the published reference, and whether the run may be held against it."""
    comparability = None if analysis is None else reference.comparability(analysis.run.config).replace("**", "")
    return {
        "what": reference.WHAT,
        "epochs": reference.EPOCHS,
        "total_s": reference.TOTAL_S,
        "comparability": comparability,
    }


def read_analysis(run: Path) -> dict[str, Any]:
    """Return `analysis.json`, of whatever version; RecordError if it is missing or damaged."""
    path = run / ANALYSIS_FILE
    remedy = f"build it from the records: speedproof report {run}"
    try:
        # JSON knows no NaN and no infinity; Python would read them, and browsers would refuse the page.
        data = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _: None)
    except FileNotFoundError:
        raise RecordError(f"{path} is missing", remedy=remedy) from None
    except (OSError, ValueError) as error:
        raise RecordError(f"{path} is damaged: {error}", remedy=remedy) from None
    if not isinstance(data, dict) or not _holds_contenders(data):
        raise RecordError(f"{path} is damaged: it holds no contenders", remedy=remedy)
    return data


def _holds_contenders(data: dict[str, Any]) -> bool:
    contenders = data.get("contenders")
    if not isinstance(contenders, list) or not contenders:
        return False
    return all(isinstance(contender, dict) and isinstance(contender.get("name"), str) for contender in contenders)


def as_written_now(analysis: dict[str, Any]) -> Analysis | None:
    """Return the analysis as this version writes it; None if another version made it."""
    try:
        return build(Analysis, analysis)
    except ConfigError:
        return None


def other_version(analysis: dict[str, Any]) -> str:
    """Say that, and what follows from it."""
    return (
        f"This analysis was made by another version of speedproof (schema version {analysis.get('schema_version')}): "
        "what it does not hold is shown as not measured. `speedproof report RUN` builds it again from the records."
    )
