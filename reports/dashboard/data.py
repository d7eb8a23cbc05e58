"""What the dashboard's pages are made of: plain data, ready for JSON. What was not measured is None, never 0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.analysis.explain import CATEGORY_WORDS
from harness.analysis.model import Analysis
from harness.errors import ConfigError, RecordError
from harness.serialization import build
from harness.storage import ANALYSIS_FILE
from reports import reference
from reports.dashboard.perfetto import MISSING, find_perfetto
from reports.dashboard.runs import find_jobs, find_traces
from reports.figures import PHASE_GROUPS
from reports.sections import PHASE_WORDS
from reports.verdicts import result_sentence


def overview(run: Path) -> dict[str, Any]:
    """Return the analysis, the sentence above it, and the words and lists that the pages need.

    Raises RecordError if there is no readable `analysis.json`.
    """
    analysis = read_analysis(run)
    sentence, problem = summarise(analysis)
    return {
        "name": run.name,
        "analysis": analysis,
        "sentence": sentence,
        "problem": problem,
        "category_words": CATEGORY_WORDS,
        "phase_words": {name: words.strip("*") for name, words in PHASE_WORDS.items()},
        "phase_groups": PHASE_GROUPS,
        "reference": {"what": reference.WHAT, "epochs": reference.EPOCHS, "total_s": reference.TOTAL_S},
        "jobs": [{"contender": folder.parent.name, "number": folder.name} for folder in find_jobs(run)],
        "traces": [
            {
                "contender": trace.parent.parent.parent.name,
                "file": trace.relative_to(run).as_posix(),
                "size_mib": trace.stat().st_size / 2**20,
            }
            for trace in find_traces(run)
        ],
        "perfetto_missing": MISSING if find_perfetto() is None else None,
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
    if not isinstance(data, dict) or not isinstance(data.get("contenders"), list):
        raise RecordError(f"{path} is damaged: it holds no contenders", remedy=remedy)
    return data


def summarise(analysis: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the result in one sentence, or why there is none: an analysis of another version."""
    try:
        return result_sentence(build(Analysis, analysis), code=str), None
    except ConfigError:
        version = analysis.get("schema_version")
        return None, (
            f"This analysis was made by another version of speedproof (schema version {version}): what it does not "
            "hold is shown as not measured. `speedproof report RUN` builds it again from the records."
        )
