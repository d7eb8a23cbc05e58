"""Which contenders a part of the report is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.analysis.model import Analysis, ContenderAnalysis


def measured_contenders(analysis: Analysis) -> list[ContenderAnalysis]:
    """Return the contenders with at least one whole job, the baseline first."""
    return [contender for contender, _ in analysis.ran]


def best_accepted(analysis: Analysis) -> ContenderAnalysis | None:
    """Return the accepted contender with the best job speedup, peers left out."""
    accepted = [other for other in analysis.contenders if other.verdict == "ACCEPTED" and not other.is_peer]
    return max(accepted, key=job_speedup_or_0, default=None)


def job_speedup_or_0(contender: ContenderAnalysis) -> float:
    """Return the job speedup to order contenders by; what was not measured comes last."""
    return 0.0 if contender.job_speedup is None else contender.job_speedup.estimate


def best_explained(analysis: Analysis) -> ContenderAnalysis | None:
    """Return the contender whose waterfall is shown: the best accepted one, else the fastest that has one; no peer."""
    best = best_accepted(analysis)
    if best is not None and best.waterfall is not None:
        return best
    explained = [other for other in analysis.contenders if other.waterfall is not None and not other.is_peer]
    return max(explained, key=job_speedup_or_0, default=None)
