"""What holds a configuration back: the rules over its facts, each with the strategies and the bound of the saving."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.advice.amdahl import Removal, removed_share, speedup_bound
from harness.analysis.advice.facts import Facts
from harness.analysis.advice.findings import Diagnosis, Finding
from harness.analysis.advice.predictions import predict
from harness.analysis.advice.rule import Observation, Rule
from harness.analysis.advice.rules_of_job import RULES_OF_JOB
from harness.analysis.advice.rules_of_step import RULES_OF_STEP
from harness.analysis.model import ContenderAnalysis

RULES: tuple[Rule, ...] = (*RULES_OF_JOB, *RULES_OF_STEP)
"""A new rule is a function in one of the two modules and a line in its tuple."""

ONLY_ON = {
    "amp_fp16": "cuda",
    "batch_finder": "cuda",
    "cuda_graphs": "cuda",
    "foreach_clipping": "cuda",
    "prefetch": "cuda",
    "tf32": "cuda",
    "fused_blocks": "cpu",
    "split_batch": "cpu",
}
"""Strategies that work on one kind of device, and are not advised on the other."""


def find(facts: Facts) -> list[tuple[Finding, Removal]]:
    """Return the findings, largest share first, each with what it would take away."""
    found = []
    for rule in RULES:
        observation = rule.look(facts)
        if observation is not None:
            found.append((_finding(rule, observation, facts), observation.takes))
    return sorted(found, key=lambda item: -item[0].share)


def _finding(rule: Rule, observation: Observation, facts: Facts) -> Finding:
    share = removed_share(facts.cells, [observation.takes])
    share, bound = observation.elsewhere or (share, speedup_bound(share))
    strategies = rule.strategies if observation.strategies is None else observation.strategies
    return Finding(
        rule=rule.name,
        sentence=observation.sentence,
        share=share,
        strategies=tuple(name for name in strategies if ONLY_ON.get(name, facts.device) == facts.device),
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
