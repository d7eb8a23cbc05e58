"""The time ledger: where a step's time goes, from the trace of a profiled one.

`attribute` and `device` divide the profiled steps. Here their time is corrected for what profiling
itself cost, and held against the unprofiled step.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.analysis.trace.attribute import ProfiledTime, divide_host_time
from harness.analysis.trace.device import ON_DEVICE, divide_device_time
from harness.analysis.trace.host import STEP_PREFIX
from harness.analysis.trace.intervals import Windows
from harness.analysis.trace.model import CATEGORIES, PARTS, Ledger, LedgerRow, StepPart
from harness.analysis.trace.read import Kind, read_trace
from harness.errors import RecordError

MOST_PER_EVENT_NS = 3_000.0
"""What recording one event may have cost at most. Measured with torch 2.13 as processor time of DistilBERT's steps with
and without the profiler: 0.8 µs without shapes, 1.4 µs with them, 2.0 to 2.2 µs where large products empty the caches
in between. Where a profiled step is slower than this explains, there was another reason."""

MOST_RESIDUAL = 0.15
"""Share of the step that rows may leave unexplained. Beyond it the profiled steps were other steps than the timed ones:
the machine was slower or faster, or memory that is there in the long run was new to them."""

_GROWING = ("matmul", "attention", "elementwise", "loss", "copies")
"""Categories that take longer the more tokens a batch has; the others cost the same for every batch."""


def build_ledger(
    trace: Path, *, unprofiled_step_ms: float | None, windows_per_step: float | None, work_ratio: float = 1.0
) -> Ledger:
    """Return the ledger of a trace. RecordError if it can't be read, or has no steps.

    `work_ratio`: tokens of the unprofiled step ÷ tokens of a profiled one, where batches differ in length.
    """
    events = read_trace(trace)
    is_mark = np.array([name.startswith(STEP_PREFIX) for name in events.names], dtype=bool)
    found = np.flatnonzero((events.kind == Kind.ANNOTATION) & is_mark[events.name])
    if not len(found):
        raise RecordError(
            f"{trace} has no profiled steps (annotations {STEP_PREFIX}…)",
            remedy="profile with a schedule, and call the profiler's step() after each step",
        )
    found = found[np.argsort(events.start_ns[found])]
    marks, main_track = Windows(events.start_ns[found], events.end_ns[found]), int(events.track[found[0]])
    on_device = bool(np.isin(events.kind, ON_DEVICE).any())
    time = (divide_device_time if on_device else divide_host_time)(events, marks, main_track)
    steps = len(marks.start_ns)
    rows = _rows(time, steps, unprofiled_step_ms, work_ratio)
    residual_ms = None if unprofiled_step_ms is None else unprofiled_step_ms - sum(row.time_ms for row in rows)
    return Ledger(
        time_kind="device" if on_device else "cpu",
        steps=steps,
        windows_per_step=windows_per_step,
        profiled_step_ms=time.total_ns / steps / 1e6,
        unprofiled_step_ms=unprofiled_step_ms,
        rows=rows,
        residual_ms=residual_ms,
        parts=tuple(
            StepPart(name=name, profiled_ms=part_ns / steps / 1e6, share=part_ns / max(time.total_ns, 1))
            for name, part_ns in zip(PARTS, time.by_part.tolist(), strict=True)
        ),
        kernels=time.lines,
        host_ms=None if time.host_ns is None else time.host_ns / steps / 1e6,
        notes=time.notes,
        unlike=describe_residual(unprofiled_step_ms, residual_ms),
    )


def describe_residual(step_ms: float | None, residual_ms: float | None) -> str | None:
    """Return in words that a ledger leaves too much of the step unexplained; None if it does not."""
    if not step_ms or residual_ms is None or abs(residual_ms) <= MOST_RESIDUAL * step_ms:
        return None
    much = "more" if residual_ms < 0 else "less"
    return (
        f"its profiled steps took {abs(residual_ms) / step_ms:.0%} {much} than the timed ones of {step_ms:.3g} ms, "
        "the profiler's own cost left out"
    )


def _rows(time: ProfiledTime, steps: int, unprofiled_step_ms: float | None, work_ratio: float) -> tuple[LedgerRow, ...]:
    """Take the profiler's cost out: the same for every recorded event, so that the rows come to the unprofiled step.

    It is never taken to be below 0 or above `MOST_PER_EVENT_NS`; what that leaves is the ledger's residual.
    """
    scale = np.array([work_ratio if category in _GROWING else 1.0 for category in CATEGORIES])
    scaled_ns, recorded = time.by_category * scale / steps, time.recorded_inside * scale / steps
    per_event_ns = 0.0
    if unprofiled_step_ms is not None and recorded.sum() > 0:
        excess_ns = scaled_ns.sum() - unprofiled_step_ms * 1e6
        per_event_ns = float(np.clip(excess_ns / recorded.sum(), 0.0, MOST_PER_EVENT_NS))
    time_ns = np.maximum(scaled_ns - per_event_ns * recorded, 0.0)
    share = time_ns / max(time_ns.sum(), 1.0)
    return tuple(
        LedgerRow(
            category=category,
            profiled_ms=float(time.by_category[number]) / steps / 1e6,
            time_ms=float(time_ns[number]) / 1e6,
            share=float(share[number]),
            events=float(time.events[number]) / steps,
            work=time.work[number],
        )
        for number, category in enumerate(CATEGORIES)
    )
