"""What a rule of the diagnosis is, and what it says when it fires."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from harness.analysis.advice.amdahl import Removal
from harness.analysis.advice.facts import Facts


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What a rule saw."""

    sentence: str
    """With its numbers, and what they mean; begins in lower case, without a full stop."""
    takes: Removal = field(default_factory=dict)
    """Share of each cell of the job that would be gone if it cost nothing any more."""
    bottlenecks: tuple[str, ...] = ()
    """Of `harness.records.strategy.BOTTLENECKS`, the most direct first: what a strategy must address to help here. None
    given: the rule's own name."""
    elsewhere: tuple[float, float] | None = None
    """(share, speedup bound) where it concerns another job than the diagnosed one: a contender's."""


Look = Callable[[Facts], Observation | None]
"""One pattern to look for in the facts of a configuration."""

RULES: dict[str, Look] = {}
"""By name, in the order in which they are looked at."""


def rule(look: Look) -> Look:
    """Decorator that makes a function a rule of its name."""
    RULES[look.__name__] = look
    return look
