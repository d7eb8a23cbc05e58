"""Which contender, and which of its numbers, a section and its figure both show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.analysis.trace.model import Category, Ledger, Waterfall, WaterfallBar

if TYPE_CHECKING:
    from harness.analysis.model import Analysis, ContenderAnalysis

LEAST_MS = 0.005
"""Differences below are printed as 0.00."""


def job_speedup_or_0(contender: ContenderAnalysis) -> float:
    """Return the job speedup to order contenders by; what was not measured comes last."""
    return 0.0 if contender.job_speedup is None else contender.job_speedup.estimate


def best_accepted(analysis: Analysis) -> ContenderAnalysis | None:
    """Return the accepted contender with the best job speedup, peers left out."""
    accepted = [other for other in analysis.contenders if other.verdict == "ACCEPTED" and not other.is_peer]
    return max(accepted, key=job_speedup_or_0, default=None)


def best_explained(analysis: Analysis) -> ContenderAnalysis | None:
    """Return the contender whose waterfall is shown: the best accepted one, else the fastest that has one; no peer."""
    best = best_accepted(analysis)
    if best is not None and best.waterfall is not None:
        return best
    explained = [
        other
        for other in analysis.contenders
        if other.waterfall is not None and other.verdict != "REJECTED" and not other.is_peer
    ]
    return max(explained, key=job_speedup_or_0, default=None)


def changed_bars(waterfall: Waterfall) -> list[WaterfallBar]:
    """Return the categories that differ by more than rounds to 0: the others would only lengthen the list."""
    return [bar for bar in waterfall.bars if abs(bar.difference_ms) >= LEAST_MS]


@dataclass(frozen=True, kw_only=True)
class ScaledStep:
    """A contender's ledger in milliseconds for as many windows as the first contender's step has."""

    rows_ms: Mapping[Category, float]
    """Of the categories that occurred."""
    residual_ms: float | None
    step_ms: float | None
    """Without the profiler."""


def scaled_steps(ledgers: Mapping[str, Ledger]) -> tuple[str, dict[str, ScaledStep]]:
    """Return what the milliseconds are per, and the contenders' steps so that they can be compared."""
    windows = next(iter(ledgers.values())).windows_per_step
    scales = {
        name: windows / ledger.windows_per_step if windows and ledger.windows_per_step else 1.0
        for name, ledger in ledgers.items()
    }
    scaled = windows and any(scale != 1.0 for scale in scales.values())
    steps = {
        name: ScaledStep(
            # Gaps have time without any event.
            rows_ms={row.category: row.time_ms * scales[name] for row in ledger.rows if row.events or row.time_ms},
            residual_ms=None if ledger.residual_ms is None else ledger.residual_ms * scales[name],
            step_ms=None if ledger.unprofiled_step_ms is None else ledger.unprofiled_step_ms * scales[name],
        )
        for name, ledger in ledgers.items()
    }
    return (f"{windows:.0f} windows" if scaled else "step"), steps
