"""From the baseline's step to a contender's, category by category."""

from __future__ import annotations

from harness.analysis.trace.model import CATEGORY_WORDS, Ledger, Waterfall, WaterfallBar

UNTOUCHED_DIFFERENCE = 0.3
"""By how much the same operators on the same shapes may differ between two traces. Beyond it the difference is not the
contender's, and others of its bars may not be either."""

LEAST_SHARE = 0.02
"""Of the baseline's step; a category that takes less, and differs by less, moves no bar that anybody would see."""


def make_waterfall(baseline: Ledger | None, contender: Ledger | None, *, same_ground: bool = True) -> Waterfall | str:
    """Return what each category contributes: baseline + bars + residual = contender, in measured (unprofiled) time.

    A contender whose steps have more windows is taken per as many windows as the baseline's step has. Or return in
    words why there is none: what it would say is not known, or the profiled steps were unlike the timed ones.
    `same_ground`: whether the same operators on the same shapes do the same work in both: an allocator, threads or
    strides of weights change all of them.
    """
    if baseline is None or contender is None:
        return f"{'the baseline' if baseline is None else 'it'} has no ledger of its step"
    if baseline.time_kind != contender.time_kind:
        return "one ledger is of a device, the other of processors"
    if baseline.unprofiled_step_ms is None or contender.unprofiled_step_ms is None:
        return "the step without the profiler was not measured"
    if not baseline.windows_per_step or not contender.windows_per_step:
        return "the windows of a step are not known"
    problem = find_unlike(baseline, contender, same_ground=same_ground)
    if problem is not None:
        return problem
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


def find_unlike(baseline: Ledger, contender: Ledger, *, same_ground: bool) -> str | None:
    """Return in words why the profiled steps of the two can't be held against each other; None if they can."""
    memory = _describe_memory(baseline, contender)
    if baseline.unlike is not None:
        return f"of the baseline: {baseline.unlike}{memory}"
    if contender.unlike is not None:
        return f"{contender.unlike}{memory}"
    rows = {row.category: row for row in baseline.rows}
    least_ms = LEAST_SHARE * sum(row.time_ms for row in baseline.rows)
    for row in contender.rows:
        before = rows[row.category]
        shorter_ms, longer_ms = sorted((before.time_ms, row.time_ms))
        is_same_work = same_ground and row.work != "" and row.work == before.work
        if is_same_work and longer_ms - shorter_ms > max(least_ms, UNTOUCHED_DIFFERENCE * shorter_ms):
            return (
                f"{CATEGORY_WORDS[row.category]}: the same operators on the same shapes took {before.time_ms:.3g} ms "
                f"in the baseline's profiled steps and {row.time_ms:.3g} ms in its own{memory}"
            )
    return None


def _describe_memory(baseline: Ledger, contender: Ledger) -> str:
    """Say what new memory had to do with it: the usual reason why the same operators take other times."""
    if None in (baseline.page_faults, contender.page_faults, baseline.system_ms, contender.system_ms):
        return ""
    told = (f"{ledger.page_faults:,.0f} ({ledger.system_ms:.3g} ms)" for ledger in (baseline, contender))
    return "; new pages of memory per step, with the system's time for them: {}, its own {}".format(*told)
