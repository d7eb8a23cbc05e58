"""Predicted against measured: the bound of the findings that a contender's strategies address, beside its speedup."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from harness.analysis.advice.amdahl import Cell, Removal, removed_share, speedup_bound
from harness.analysis.advice.diagnosis import find
from harness.analysis.advice.findings import Diagnosis, Finding, Prediction
from harness.statistics.estimate import ratio_words

if TYPE_CHECKING:
    from harness.analysis.advice.facts import Facts
    from harness.analysis.model import ContenderAnalysis
    from harness.statistics.estimate import Estimate

OVER_TOLERANCE = 0.05
"""A measured speedup may lie this share beyond its bound: rules are silent about rows below 5 % of a step."""

UNDER_SHARE = 0.25
"""A prediction has missed, too, if less than this share of the promised gain came (in logarithms, so that the gains of
a stack add up)."""

LEAST_PROMISE = 1.1
"""Bounds below promise too little to be held to it."""


JUDGEMENTS = {
    "over": ": it speeds something up that the findings do not name",
    "under": ": hardly anything of it came",
    "kept": "",
    "unknown": "; there is no interval to hold it against",
}


def diagnose(facts: Facts, contenders: Sequence[ContenderAnalysis]) -> Diagnosis | None:
    """Return findings and predictions for a baseline and the contenders beside it; None if no job was measured.

    Nothing is predicted of peers: the findings are about what strategies change, and a peer changes everything.
    """
    if facts.job_s <= 0:
        return None
    found = find(facts)
    predictions = tuple(predict(contender, found, facts.cells) for contender in contenders if not contender.is_peer)
    return Diagnosis(findings=tuple(finding for finding, _ in found), predictions=predictions)


def predict(
    contender: ContenderAnalysis, found: Sequence[tuple[Finding, Removal]], cells: Mapping[Cell, float]
) -> Prediction:
    """Return the prediction for a contender. A stack addresses what any of its parts does, each part of time once.

    Only the baseline's facts go into the bound; one-time costs of the contender (a compiler, say) do not.
    """
    addressed = [(finding, takes) for finding, takes in found if set(finding.strategies) & set(contender.parts)]
    bound = speedup_bound(removed_share(cells, [takes for _, takes in addressed]))
    rules = tuple(finding.rule for finding, _ in addressed)
    promise = "no gain was predicted: no finding is about what it changes"
    if rules:
        promise = f"at most {bound:.2f}× was predicted ({', '.join(rule.replace('_', ' ') for rule in rules)})"
    speedup = contender.job_speedup if contender.state == "measured" else None
    return Prediction(
        contender=contender.name,
        rules=rules,
        job_speedup_bound=bound,
        measured=None if speedup is None else speedup.estimate,
        measured_low=None if speedup is None else speedup.low,
        measured_high=None if speedup is None else speedup.high,
        missed=speedup is not None and _verdict(speedup, bound) in ("over", "under"),
        sentence=f"{promise}; {_outcome(speedup, bound)}",
    )


def _verdict(speedup: Estimate, bound: float) -> Literal["over", "under", "kept", "unknown"]:
    """Return how the measured interval lies to the bound. Without one, drift between two jobs may be all there is."""
    if speedup.kind != "interval" or speedup.low is None or speedup.high is None:
        return "unknown"
    if speedup.low > bound * (1.0 + OVER_TOLERANCE):
        return "over"
    promised = bound >= LEAST_PROMISE
    return "under" if promised and math.log(speedup.high) < UNDER_SHARE * math.log(bound) else "kept"


def _outcome(speedup: Estimate | None, bound: float) -> str:
    """Return what was measured, with the error against the bound."""
    if speedup is None:
        return "not measured"
    error = speedup.estimate / bound - 1.0
    side = "below" if error < 0 else "beyond"
    measured = ratio_words(speedup.estimate, speedup.low, speedup.high)
    text = f"measured {measured}, {abs(error):.0%} {side} the bound"
    return text + JUDGEMENTS[_verdict(speedup, bound)]
