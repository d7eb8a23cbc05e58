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
    strategies: tuple[str, ...] | None = None
    """Those of the rule's strategies that can help here; None: all of them."""
    elsewhere: tuple[float, float] | None = None
    """(share, speedup bound) where it concerns another job than the diagnosed one: a contender's."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One pattern to look for in the facts of a configuration."""

    name: str
    strategies: tuple[str, ...]
    """Registered strategies that may address it."""
    look: Callable[[Facts], Observation | None]
