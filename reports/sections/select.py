"""Which contenders a part of the report is about."""

from __future__ import annotations

from harness.analysis.model import Analysis, ContenderAnalysis
from reports.verdicts import best_accepted, job_speedup_or_0


def measured_contenders(analysis: Analysis) -> list[ContenderAnalysis]:
    """Return the contenders with at least one whole job, the baseline first."""
    return [contender for contender, _ in analysis.ran]


def best_explained(analysis: Analysis) -> ContenderAnalysis | None:
    """Return the contender whose waterfall is shown: the best accepted one, else the fastest that has one; no peer."""
    best = best_accepted(analysis)
    if best is not None and best.waterfall is not None:
        return best
    explained = [other for other in analysis.contenders if other.waterfall is not None and not other.is_peer]
    return max(explained, key=job_speedup_or_0, default=None)
