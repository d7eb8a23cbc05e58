"""Was it the same work?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.document import Section, Table, Text, contender_name, paragraph, strong, table
from reports.formatting import NONE, count, one_line

if TYPE_CHECKING:
    from harness.analysis.model import Analysis

HOW = (
    "A contender that did less is not faster. An update counts as applied if it changed the answer head's weights and "
    "those of one other matrix, another one in each step; parameters count as trained if their tensor changed at all. "
    "The gradient norm is the contender's ÷ the baseline's, median over the steps. Useful tokens are those that are "
    "not padding: leaving padding out is fair, leaving text out is not."
)


def section(analysis: Analysis) -> Section:
    """Return the accounting of the work."""
    return Section(title="Was it the same work?", blocks=(*work_table(analysis), paragraph(HOW)))


def work_table(analysis: Analysis) -> tuple[Table, ...]:
    """Return how much was trained, and whether that is what the baseline trained."""
    headers = ("Strategy", "Same as the baseline", "Updates applied", "Windows", "Useful tokens", "Tokens with padding",
               "Parameters trained", "Gradient norm")  # fmt: skip
    rows = []
    for contender, _ in analysis.ran:
        work = contender.work
        if work is None:
            continue
        same: Text = "nothing to compare with" if work.equal is None else "yes"
        if contender.is_baseline:
            same = "the measure"
        elif work.differences:
            same = (strong("no"), f": {one_line('; '.join(work.differences))}")
        by_design = f"; by design: {one_line('; '.join(work.expected))}" if work.expected else ""
        row = (
            contender_name(contender.name),
            (same, by_design),
            f"{work.updates_applied} of {work.updates}",
            count(work.windows),
            count(work.useful_tokens),
            count(work.computed_tokens),
            count(work.trained_parameters),
            NONE if work.gradient_norm_ratio is None else f"{work.gradient_norm_ratio:.2f}×",
        )
        rows.append(row)
    return table(headers, rows, "ll")
