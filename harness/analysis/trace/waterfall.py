"""From the baseline's step to a contender's, category by category."""

from __future__ import annotations

from harness.analysis.trace.model import Ledger, Waterfall, WaterfallBar


def make_waterfall(baseline: Ledger | None, contender: Ledger | None) -> Waterfall | None:
    """Return what each category contributes: baseline + bars + residual = contender, in measured (unprofiled) time.

    A contender whose steps have more windows is taken per as many windows as the baseline's step has. None where a step
    was not profiled or not measured, its windows are not known, or one ledger is of a device and the other of
    processors.
    """
    if baseline is None or contender is None or baseline.time_kind != contender.time_kind:
        return None
    if baseline.unprofiled_step_ms is None or contender.unprofiled_step_ms is None:
        return None
    if not baseline.windows_per_step or not contender.windows_per_step:
        return None
    scale = baseline.windows_per_step / contender.windows_per_step
    before = {row.category: row.time_ms for row in baseline.rows}
    bars = tuple(
        WaterfallBar(category=row.category, difference_ms=row.time_ms * scale - before[row.category])
        for row in contender.rows
    )
    contender_ms = contender.unprofiled_step_ms * scale
    return Waterfall(
        baseline_ms=baseline.unprofiled_step_ms,
        contender_ms=contender_ms,
        bars=bars,
        residual_ms=contender_ms - baseline.unprofiled_step_ms - sum(bar.difference_ms for bar in bars),
    )
