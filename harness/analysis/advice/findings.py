"""What the diagnosis says: only data. What was not measured is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that the baseline's ledger and phases show."""

    rule: str
    """Name of the rule, e.g. "padding_waste"."""
    sentence: str
    """What was seen, with its numbers, and what it means."""
    share: float
    """Of the job that it would take away at most, 0 to 1: `job_speedup_bound` is 1 ÷ (1 − share)."""
    strategies: tuple[str, ...]
    """Registered strategies that address it."""
    job_speedup_bound: float
    """Job speedup if it cost nothing any more (Amdahl): no strategy that addresses only this can do better."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What was predicted for a contender from the baseline alone, beside what was measured."""

    contender: str
    rules: tuple[str, ...]
    """Findings that its strategies address; none: no gain was predicted."""
    job_speedup_bound: float
    """Upper bound of the job speedup; 1 where no finding is addressed."""
    measured: float | None
    """Job speedup; None if it was not measured."""
    measured_low: float | None
    measured_high: float | None
    missed: bool
    """The measured interval lies beyond the bound by more than the tolerance, or far below what was promised."""
    sentence: str
    """Prediction and outcome in words."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What holds the baseline back, largest share first, and what was predicted for each contender."""

    findings: tuple[Finding, ...]
    predictions: tuple[Prediction, ...]
