"""What the dashboard's pages are made of: plain data, ready for JSON. What was not measured is None, never 0."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.analysis.model import Analysis
from harness.analysis.trace.model import CATEGORY_WORDS
from harness.errors import ConfigError, RecordError
from harness.records.serialise import build
from harness.records.store import ANALYSIS_FILE
from reports import reference
from reports.answer import result_sentence
from reports.dashboard.perfetto import MISSING, find_perfetto
from reports.dashboard.runs import TRACE_SUFFIX, find_jobs
from reports.dashboard.series import curves, samples
from reports.document import plain_text
from reports.phases import phase_groups, phase_words

OTHER_VERSION = (
    "This analysis was made by another version of speedproof (schema version {}): what it does not hold is shown as "
    "not measured. `speedproof report RUN` builds it again from the records."
)


def overview(run: Path) -> dict[str, Any]:
    """Return the analysis, the sentence above it, and the words and lists that the pages need.

    Raises RecordError if there is no readable `analysis.json`.
    """
    analysis = _read_analysis(run)
    try:
        whole = build(Analysis, analysis)
    except ConfigError:
        whole = None
    scoring = None if whole is None else whole.scoring
    published = reference.EPOCHS if scoring is None else reference.published_epochs(scoring)
    contenders = analysis["contenders"]
    return {
        "name": run.name,
        "analysis": analysis,
        "sentence": None if whole is None else result_sentence(whole),
        "problem": None if whole is not None else OTHER_VERSION.format(analysis.get("schema_version")),
        "examples": "questions" if whole is None else whole.scoring.examples,
        "category_words": CATEGORY_WORDS,
        "phase_words": phase_words(() if scoring is None else [metric.title for metric in scoring.metrics]),
        "phase_groups": phase_groups({phase for contender in contenders for phase in contender.get("phases_s") or ()}),
        "reference": {
            "what": reference.WHAT,
            "epochs": published,
            "total_s": reference.TOTAL_S,
            "comparability": None if whole is None else plain_text(reference.comparability(whole.run.config)),
        }
        if published
        else None,
        **_jobs_and_traces(run, [contender["name"] for contender in contenders]),
        "perfetto_missing": MISSING if find_perfetto() is None else None,
    }


def _jobs_and_traces(run: Path, order: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Return what can be chosen, in the order of the contenders; those of none come last."""
    jobs = [{"contender": folder.parent.name, "number": folder.name} for folder in find_jobs(run)]
    traces = [
        {
            "contender": trace.parents[2].name,
            "file": trace.relative_to(run).as_posix(),
            "size_mib": trace.stat().st_size / 2**20,
        }
        for trace in sorted(run.glob(f"trials/*/*/trace/*{TRACE_SUFFIX}"))
    ]

    def place(item: dict[str, Any]) -> int:
        return order.index(item["contender"]) if item["contender"] in order else len(order)

    return {"jobs": sorted(jobs, key=place), "traces": sorted(traces, key=place)}


def _read_analysis(run: Path) -> dict[str, Any]:
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
    contenders = data.get("contenders") if isinstance(data, dict) else None
    named = isinstance(contenders, list) and all(
        isinstance(c, dict) and isinstance(c.get("name"), str) for c in contenders
    )
    if not contenders or not named:
        raise RecordError(f"{path} is damaged: it holds no contenders", remedy=remedy)
    return dict(data)


ANSWERS: dict[str, Callable[[Path, Mapping[str, str]], dict[str, Any]]] = {
    "overview": lambda run, _: overview(run),
    "curves": lambda run, _: curves(run),
    "samples": lambda run, asked: samples(run, asked.get("contender", ""), asked.get("number", "")),
}
"""What can be asked about a run, with the arguments of the question."""
