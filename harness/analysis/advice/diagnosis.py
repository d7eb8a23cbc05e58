"""What holds a configuration back: the rules over its facts, each with the strategies and the bound of the saving."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.advice import rules_of_job, rules_of_step  # noqa: F401  # They register their rules.
from harness.analysis.advice.amdahl import Removal, removed_share, speedup_bound
from harness.analysis.advice.facts import Facts
from harness.analysis.advice.findings import Diagnosis, Finding
from harness.analysis.advice.predictions import predict
from harness.analysis.advice.rule import RULES, Observation
from harness.analysis.model import ContenderAnalysis


def find(facts: Facts) -> list[tuple[Finding, Removal]]:
    """Return the findings, largest share first, each with what it would take away."""
    seen = [(name, observation) for name, look in RULES.items() if (observation := look(facts)) is not None]
    found = [(_finding(name, observation, facts), observation.takes) for name, observation in seen]
    return sorted(found, key=lambda item: -item[0].share)


def _finding(rule: str, observation: Observation, facts: Facts) -> Finding:
    share = removed_share(facts.cells, [observation.takes])
    share, bound = observation.elsewhere or (share, speedup_bound(share))
    strategies = [strategy for strategy in facts.catalogue if facts.device in strategy.devices and not strategy.is_peer]
    return Finding(
        rule=rule,
        sentence=observation.sentence,
        share=share,
        strategies=tuple(
            dict.fromkeys(
                strategy.name
                for bottleneck in observation.bottlenecks or (rule,)
                for strategy in strategies
                if bottleneck in strategy.addresses
            )
        ),
        job_speedup_bound=bound,
    )


def diagnose(facts: Facts, contenders: Sequence[ContenderAnalysis]) -> Diagnosis | None:
    """Return findings and predictions for a baseline and the contenders beside it; None if no job was measured.

    Nothing is predicted of peers: the findings are about what strategies change, and a peer changes everything.
    """
    if facts.job_s <= 0:
        return None
    found = find(facts)
    predictions = tuple(predict(contender, found, facts.cells) for contender in contenders if not contender.is_peer)
    return Diagnosis(findings=tuple(finding for finding, _ in found), predictions=predictions)
