"""What a strategy means for jobs of other lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.document import Section, Table, contender_name, paragraph, table
from reports.formatting import count, seconds, speedup

if TYPE_CHECKING:
    from harness.analysis.model import Analysis

HOW = (
    "Expected speedup of a job of so many steps (of the baseline), with its 95 % interval and its time: start-up, "
    "warm-up and time per step as measured here, without evaluation, as how often another job evaluates is not known."
)


def section(analysis: Analysis) -> Section:
    """Return the table of expected jobs; without blocks where nothing was timed."""
    rows = expected_table(analysis)
    return Section(title="What it means for your job", blocks=(paragraph(HOW), *rows) if rows else ())


def expected_table(analysis: Analysis) -> tuple[Table, ...]:
    """Return the expected jobs of each contender."""
    expected = {c.name: evidence.expected for c, evidence in analysis.ran if evidence.expected}
    first = next(iter(expected.values()), ())
    baseline = [(contender_name(analysis.baseline), *(seconds(job.baseline_s) for job in first))]
    rows = [
        (contender_name(name), *(f"{speedup(job.speedup)}, {seconds(job.contender_s)}" for job in jobs))
        for name, jobs in expected.items()
    ]
    return table(("Strategy", *(f"{count(job.steps)} steps" for job in first)), [*baseline, *rows] if rows else [])
