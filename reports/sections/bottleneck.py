"""What holds the baseline back, and what was predicted for each contender beside what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from harness.analysis.advice.findings import Finding, Prediction
from harness.analysis.model import Analysis
from reports.document import (
    Block,
    Section,
    Table,
    Text,
    bullets,
    code,
    contender_name,
    joined,
    paragraph,
    strong,
    table,
)
from reports.formatting import NONE, NOT_MEASURED, full_stop, percent, ratio, times

MISSING = "There is no diagnosis: it needs a whole job of the baseline and its profiled steps."
NO_FINDING = "No rule of the diagnosis found anything that stands out in the baseline."
BOUND = (
    "Predicted from the baseline alone, before looking at any contender: an upper bound of the job speedup, as if what "
    "the strategy addresses cost nothing any more (Amdahl)."
)


def section(analysis: Analysis) -> Section:
    """Return the diagnosis."""
    return Section(title="What holds the baseline back", blocks=tuple(_blocks(analysis)))


def _blocks(analysis: Analysis) -> Iterator[Block]:
    diagnosis = analysis.diagnosis
    if diagnosis is None:
        yield paragraph(MISSING)
        return
    yield from bullets(map(_finding_line, diagnosis.findings)) or (paragraph(NO_FINDING),)
    if diagnosis.predictions:
        yield paragraph(BOUND)
        yield from _prediction_table(diagnosis.predictions)


def _finding_line(finding: Finding) -> Text:
    """Return a finding with the share of the job that would go away at best, and the bound that follows."""
    share, bound = percent(finding.share), times(finding.job_speedup_bound)
    # Other findings are about a contender's job, which may be longer than the baseline's.
    about_baseline = math.isclose(finding.job_speedup_bound * (1.0 - finding.share), 1.0, rel_tol=0.01)
    if about_baseline:
        without = f"Without it {share} of the job would go away at best ({bound} as fast)"
    else:
        without = f"Without it {share} of that job would go away at best, which would then be {bound} as fast as the " \
            "baseline's"  # fmt: skip
    addressed: Text = "no registered strategy addresses it"
    if finding.strategies:
        addressed = ("addressed by ", joined(code(name) for name in finding.strategies))
    return (strong(finding.rule.replace("_", " ")), f": {full_stop(finding.sentence)} {without}; ", addressed, ".")


def _prediction_table(predictions: Sequence[Prediction]) -> tuple[Table, ...]:
    """Return predictions beside measurements; the outcome is spelled out where they don't agree."""
    rows = (
        (
            contender_name(prediction.contender),
            joined(rule.replace("_", " ") for rule in prediction.rules) if prediction.rules else NONE,
            times(prediction.job_speedup_bound) if prediction.rules else "no gain",
            NOT_MEASURED
            if prediction.measured is None
            else ratio(prediction.measured, prediction.measured_low, prediction.measured_high),
            _outcome(prediction),
        )
        for prediction in predictions
    )
    headers = ("Strategy", "Findings it addresses", "Predicted, at most", "Measured", "Outcome")
    return table(headers, rows, "llrrl")


def _outcome(prediction: Prediction) -> Text:
    if prediction.missed:
        return (strong("missed"), f": {prediction.sentence}")
    return NONE if prediction.measured is None else "agrees"
