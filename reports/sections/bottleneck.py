"""What holds the baseline back, and what was predicted for each contender beside what was measured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.statistics.estimate import ratio_words, times_words
from reports.document import (
    Block,
    Section,
    Text,
    bullets,
    code,
    contender_name,
    joined,
    paragraph,
    strong,
    table,
)
from reports.formatting import NONE, NOT_MEASURED, full_stop, percent

if TYPE_CHECKING:
    from harness.analysis.advice.findings import Finding
    from harness.analysis.model import Analysis

MISSING = "There is no diagnosis: it needs a whole job of the baseline and its profiled steps."
NO_FINDING = "No rule of the diagnosis found anything that stands out in the baseline."
BOUND = (
    "Predicted from the baseline alone, before looking at any contender: an upper bound of the job speedup, as if what "
    "the strategy addresses cost nothing any more (Amdahl)."
)


def section(analysis: Analysis) -> Section:
    """Return the diagnosis."""
    title, diagnosis = "What holds the baseline back", analysis.diagnosis
    if diagnosis is None:
        return Section(title=title, blocks=(paragraph(MISSING),))
    blocks: list[Block] = [*(bullets(map(_finding, diagnosis.findings)) or (paragraph(NO_FINDING),))]
    headers = ("Strategy", "Findings it addresses", "Predicted, at most", "Measured", "Outcome")
    rows = []
    for prediction in diagnosis.predictions:
        rules, measured = prediction.rules, prediction.measured
        outcome: Text = NONE if measured is None else "agrees"
        if prediction.missed:
            outcome = (strong("missed"), f": {prediction.sentence}")
        row = (
            contender_name(prediction.contender),
            joined(rule.replace("_", " ") for rule in rules) if rules else NONE,
            times_words(prediction.job_speedup_bound) if rules else "no gain",
            NOT_MEASURED
            if measured is None
            else ratio_words(measured, prediction.measured_low, prediction.measured_high),
            outcome,
        )
        rows.append(row)
    if rows:
        blocks += [paragraph(BOUND), *table(headers, rows, "llrrl")]
    return Section(title=title, blocks=tuple(blocks))


def _finding(finding: Finding) -> Text:
    """Return a finding with the share of the job that would go away at best, and the bound that follows."""
    share, bound = percent(finding.share), times_words(finding.job_speedup_bound)
    # Other findings are about a contender's job, which may be longer than the baseline's.
    if math.isclose(finding.job_speedup_bound * (1.0 - finding.share), 1.0, rel_tol=0.01):
        at_best = f"the job would go away at best ({bound} as fast)"
    else:
        at_best = f"that job would go away at best, which would then be {bound} as fast as the baseline's"
    addressed: Text = "no registered strategy addresses it"
    if finding.strategies:
        addressed = ("addressed by ", joined(code(name) for name in finding.strategies))
    sentence = f": {full_stop(finding.sentence)} Without it {share} of {at_best}; "
    return (strong(finding.rule.replace("_", " ")), sentence, addressed, ".")
