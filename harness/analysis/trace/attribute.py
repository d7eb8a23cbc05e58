"""The time of profiled steps, divided among categories and parts: on the host's processors.

The steps' thread always counts for what it does itself. Where it does nothing, other threads count for what they do
meanwhile, and time in which no thread does anything is idle: gaps in which Python runs.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.analysis.trace.host import COMPILED_PREFIX, assign_host_time
from harness.analysis.trace.intervals import Windows, divide
from harness.analysis.trace.model import CATEGORIES, CATEGORY_WORDS, PARTS, KernelLine
from harness.analysis.trace.read import NONE, Kind, Trace

NOTABLE_SHARE = 0.05
"""Time that could not be told apart is noted from here on."""

IDLE, OTHER = CATEGORIES.index("idle"), CATEGORIES.index("other")
OTHER_PART = PARTS.index("other")


@dataclass(frozen=True, kw_only=True)
class ProfiledTime:
    """Over all profiled steps, times in nanoseconds. Arrays are indexed like `CATEGORIES` and `PARTS`."""

    total_ns: int
    by_category: np.ndarray
    by_part: np.ndarray
    events: np.ndarray
    """Operators or kernels of each category."""
    recorded_inside: np.ndarray
    """Recorded events whose cost lies in the time of each category."""
    lines: tuple[KernelLine, ...]
    """Longest first."""
    host_ns: float | None
    """In runtime calls; None without a device."""
    work: tuple[str, ...]
    """What ran in each category, as `sign_work` says it."""
    notes: tuple[str, ...]


def divide_host_time(trace: Trace, steps: Windows, main_track: int) -> ProfiledTime:
    """Return whose the steps' time is where no device is."""
    host = assign_host_time(trace, steps, main_track)
    own, others = host.stretches.where(host.on_main), host.stretches.where(~host.on_main)
    by_category = divide(steps, [own, others], len(CATEGORIES), rest=IDLE)
    operators = np.flatnonzero((trace.kind == Kind.OPERATOR) & (host.category_of_event != NONE))
    category = host.category_of_event[operators].astype(np.int64)
    self_ns = np.bincount(host.event, host.stretches.end_ns - host.stretches.start_ns, minlength=len(trace.kind))
    recorded_inside = host.recorded_inside[:-1].copy()
    recorded_inside[IDLE] += host.recorded_inside[-1]
    lines = sum_lines(trace, operators, category, self_ns[operators], steps=len(steps.start_ns))
    notes = note_on_shapes(trace)
    compiled = [number for number, name in enumerate(trace.names) if name.startswith(COMPILED_PREFIX)]
    inside = host.stretches.where(np.isin(trace.name[host.event], compiled))
    share = float((inside.end_ns - inside.start_ns).sum()) / steps.length_ns
    if share >= NOTABLE_SHARE:
        notes.append(
            f"{share:.0%} of the step ran in compiled loops that the trace does not name: they count as "
            f"{CATEGORY_WORDS['elementwise']}, softmax and dropout of compiled attention among them"
        )
    return ProfiledTime(
        total_ns=steps.length_ns,
        by_category=by_category,
        by_part=divide(steps, [host.parts.where(host.on_main)], len(PARTS), rest=OTHER_PART),
        events=np.bincount(category, minlength=len(CATEGORIES)),
        recorded_inside=recorded_inside,
        lines=lines,
        host_ns=None,
        work=sign_work(trace, operators, category, operators, steps=len(steps.start_ns)),
        notes=(*notes, *note_on_other(by_category, lines)),
    )


def sum_lines(
    trace: Trace, events: np.ndarray, category: np.ndarray, time_ns: np.ndarray, *, steps: int
) -> tuple[KernelLine, ...]:
    """Sum up events of the same name and category, longest first."""
    key = trace.name[events].astype(np.int64) * len(CATEGORIES) + category
    keys, place, calls = np.unique(key, return_inverse=True, return_counts=True)
    total_ns = np.bincount(place, time_ns, minlength=len(keys))
    all_ns = sum(total_ns.tolist())
    lines = [
        KernelLine(
            name=trace.names[number // len(CATEGORIES)],
            category=CATEGORIES[number % len(CATEGORIES)],
            calls_per_step=count / steps,
            time_ms_per_step=time / steps / 1e6,
            share=time / all_ns if all_ns else 0.0,
        )
        for number, count, time in zip(keys.tolist(), calls.tolist(), total_ns.tolist(), strict=True)
    ]
    return tuple(sorted(lines, key=lambda line: (-line.time_ms_per_step, line.name)))


def sign_work(
    trace: Trace, events: np.ndarray, category: np.ndarray, shaped: np.ndarray, *, steps: int
) -> tuple[str, ...]:
    """Return for each category a hash over what ran in it: names, input shapes and types, calls per step.

    `shaped` are the events that know the shapes: of kernels, the operators that launched them. Equal hashes mean the
    same work. Empty where nothing ran, or where that can't be said for want of shapes.
    """
    if len(trace.input_shapes) <= 1:
        return ("",) * len(CATEGORIES)
    signed = []
    for number in range(len(CATEGORIES)):
        inside = category == number
        if not inside.any() or (shaped[inside] == NONE).any():
            signed.append("")
            continue
        columns = (trace.name[events[inside]], trace.shapes[shaped[inside]], trace.types[shaped[inside]])
        rows = zip(*(column.tolist() for column in columns), strict=True)
        calls = Counter((trace.names[n], trace.input_shapes[s], trace.input_types[t]) for n, s, t in rows)
        lines = sorted(f"{what} {count / steps:g}" for what, count in calls.items())
        signed.append(hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16])
    return tuple(signed)


def note_on_shapes(trace: Trace) -> list[str]:
    """Return a note if the trace has operators, but no shapes."""
    if len(trace.input_shapes) > 1 or not (trace.kind == Kind.OPERATOR).any():
        return []
    return [
        "shapes were not recorded: of eager attention only softmax and products could be told; its scaling, mask and "
        f"dropout count as {CATEGORY_WORDS['elementwise']}"
    ]


def note_on_other(by_category: np.ndarray, lines: Sequence[KernelLine]) -> list[str]:
    """Return a note on what "other" is made of, if it is not small."""
    share = by_category[OTHER] / by_category.sum()
    if share < NOTABLE_SHARE:
        return []
    largest = [line.name for line in lines if line.category == "other"][:3]
    return [f"{share:.0%} of the step could not be told apart, most of it in {', '.join(largest)}"]
