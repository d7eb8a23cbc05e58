"""Was it the same work?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.analysis.evidence.work import Work
from harness.analysis.model import Analysis, ContenderAnalysis
from reports.document import Section, Table, Text, contender_name, paragraph, strong, table
from reports.formatting import NONE, count, one_line
from reports.sections.select import measured_contenders

HOW = (
    "A contender that did less is not faster. An update counts as applied if it changed the answer head's weights and "
    "those of one other matrix, another one in each step; parameters count as trained if their tensor changed at all. "
    "The gradient norm is the contender's ÷ the baseline's, median over the steps. Useful tokens are those that are "
    "not padding: leaving padding out is fair, leaving text out is not."
)


def section(analysis: Analysis) -> Section:
    """Return the accounting of the work."""
    rows = work_table(measured_contenders(analysis))
    return Section(title="Was it the same work?", blocks=(*rows, paragraph(HOW)))


def work_table(contenders: Sequence[ContenderAnalysis]) -> tuple[Table, ...]:
    """Return how much was trained, and whether that is what the baseline trained."""
    headers = ("Strategy", "Same as the baseline", "Updates applied", "Windows", "Useful tokens", "Tokens with padding",
               "Parameters trained", "Gradient norm")  # fmt: skip
    rows = (
        (
            contender_name(contender.name),
            tuple(_sameness(work, is_baseline=contender.is_baseline)),
            f"{work.updates_applied} of {work.updates}",
            count(work.windows),
            count(work.useful_tokens),
            count(work.computed_tokens),
            count(work.trained_parameters),
            NONE if work.gradient_norm_ratio is None else f"{work.gradient_norm_ratio:.2f}×",
        )
        for contender, work in ((contender, contender.work) for contender in contenders)
        if work is not None
    )
    return table(headers, rows, "ll")


def _sameness(work: Work, *, is_baseline: bool) -> Iterator[Text]:
    if is_baseline:
        yield "the measure"
    elif work.differences:
        yield strong("no")
        yield ": " + one_line("; ".join(work.differences))
    else:
        yield "nothing to compare with" if work.equal is None else "yes"
    if work.expected:
        yield "; by design: " + one_line("; ".join(work.expected))
