"""What holds a configuration back: the rules over its facts, each with the strategies and the bound of the saving."""

from __future__ import annotations

from harness.analysis.advice import rules_of_job, rules_of_step  # noqa: F401  # They register their rules.
from harness.analysis.advice.amdahl import Removal, removed_share, speedup_bound
from harness.analysis.advice.facts import Facts
from harness.analysis.advice.findings import Finding
from harness.analysis.advice.rule import RULES


def find(facts: Facts) -> list[tuple[Finding, Removal]]:
    """Return the findings, largest share first, each with what it would take away.

    Of the catalogue's strategies those that address it and work on this kind of device are advised, never a peer.
    """
    strategies = [strategy for strategy in facts.catalogue if facts.device in strategy.devices and not strategy.is_peer]
    found = []
    for rule, look in RULES.items():
        observation = look(facts)
        if observation is None:
            continue
        share = removed_share(facts.cells, [observation.takes])
        share, bound = observation.elsewhere or (share, speedup_bound(share))
        wanted = observation.bottlenecks or (rule,)
        advised = (one.name for bottleneck in wanted for one in strategies if bottleneck in one.addresses)
        finding = Finding(
            rule=rule,
            sentence=observation.sentence,
            share=share,
            strategies=tuple(dict.fromkeys(advised)),
            job_speedup_bound=bound,
        )
        found.append((finding, observation.takes))
    return sorted(found, key=lambda item: -item[0].share)
