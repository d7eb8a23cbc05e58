"""The time of profiled steps, divided among categories and parts: on a device.

Kernels count first, then copies that no kernel overlaps, then, while nothing runs, data loading if the host is at it;
the rest is launch gaps and idle. A kernel does what its name says, but for what only its origin tells: products of
attention, loss, optimizer, data loading. Its origin is the operator around the runtime call of the same correlation, or
the operator whose number it has. The kernels of a graph launch come from where the graph was launched.

What was launched before the first recorded step is not its work, though it may still run in it: the first step begins
where that ends. A kernel whose launch is not in the trace was launched before if its correlation is below that of every
recorded call (they are numbered as they are made), or if it already ran when the step began; else it counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.analysis.trace.attribute import (
    IDLE,
    NOTABLE_SHARE,
    OTHER,
    OTHER_PART,
    ProfiledTime,
    note_on_other,
    note_on_shapes,
    sign_work,
    sum_lines,
)
from harness.analysis.trace.classify import classify_kernel
from harness.analysis.trace.host import HostTime, assign_host_time
from harness.analysis.trace.intervals import Intervals, Windows, divide
from harness.analysis.trace.model import CATEGORIES, PARTS
from harness.analysis.trace.read import NONE, Kind, Trace

_COPIES, _DATA = CATEGORIES.index("copies"), CATEGORIES.index("data")
_DATA_PART = PARTS.index("data")
_TOLD_BY_ORIGIN = [CATEGORIES.index(name) for name in ("attention", "loss", "optimizer", "data")]
ON_DEVICE = (Kind.KERNEL, Kind.COPY)


class _Work(NamedTuple):
    """Kernels and copies, with where they come from: numbers of events, NONE where the trace does not tell."""

    event: np.ndarray
    launch: np.ndarray
    """The runtime call."""
    operator: np.ndarray
    launched_ns: np.ndarray

    @property
    def is_known(self) -> np.ndarray:
        """Whether the trace tells where it was launched."""
        return np.asarray((self.launch != NONE) | (self.operator != NONE))


def divide_device_time(trace: Trace, marks: Windows, main_track: int) -> ProfiledTime:
    """Return whose the device's time is; `marks` are the steps as the host saw them."""
    work = _find_work(trace, marks)
    on_host, steps = _place_steps(trace, marks, work)
    launched = (work.launched_ns >= marks.start_ns[0]) & (~work.is_known | (work.launched_ns < marks.end_ns[-1]))
    runs = (trace.end_ns[work.event] > steps.start_ns[0]) & (trace.start_ns[work.event] < steps.end_ns[-1])
    work = _Work(*(column[launched & runs] for column in work))
    host = assign_host_time(trace, on_host, main_track)
    main_parts = host.parts.where(host.on_main)
    start_ns, end_ns = trace.start_ns[work.event], trace.end_ns[work.event]
    names = trace.name[work.event]
    by_name = np.array([CATEGORIES.index(classify_kernel(name)) for name in trace.names], dtype=np.int64)[names]
    by_origin = _from_origin(work, host.category_of_event)
    told_by_origin = np.isin(by_origin, _TOLD_BY_ORIGIN) | ((by_name == OTHER) & (by_origin != NONE))
    category: np.ndarray = np.where(told_by_origin, by_origin, by_name)
    moves = category == _COPIES
    by_kind, loading = Intervals(start_ns, end_ns, category), main_parts.where(main_parts.label == _DATA_PART)
    loading = loading._replace(label=np.full(len(loading.label), _DATA))
    levels = [by_kind.where(~moves), by_kind.where(moves), loading]
    by_category = divide(steps, levels, len(CATEGORIES), rest=IDLE)
    by_part = Intervals(start_ns, end_ns, _parts(trace, work, host, main_parts))
    calls = Intervals(trace.start_ns, trace.end_ns, np.where(trace.kind == Kind.RUNTIME, 0, NONE))
    recorded_inside = np.zeros(len(CATEGORIES))
    recorded_inside[IDLE] = host.recorded_inside.sum()  # Recording costs the host time; the device sees it as gaps.
    lines = sum_lines(trace, work.event, category, end_ns - start_ns, steps=len(steps.start_ns))
    return ProfiledTime(
        total_ns=steps.length_ns,
        by_category=by_category,
        by_part=divide(steps, [by_part, main_parts], len(PARTS), rest=OTHER_PART),
        events=np.bincount(category, minlength=len(CATEGORIES)),
        recorded_inside=recorded_inside,
        lines=lines,
        host_ns=float(divide(on_host, [calls], 1)[0]),
        work=sign_work(trace, work.event, category, work.operator, steps=len(steps.start_ns)),
        notes=(*note_on_shapes(trace), *_notes(trace, on_host, steps, work), *note_on_other(by_category, lines)),
    )


def _find_work(trace: Trace, marks: Windows) -> _Work:
    """Return all that ran on the device, and when it was launched; where that can't be seen: when it began.

    What was launched before the recording is put before the marks. It can be told: of calls that were made before it,
    only the kernels are there.
    """
    event = np.flatnonzero(np.isin(trace.kind, ON_DEVICE))
    calls = np.flatnonzero(trace.kind == Kind.RUNTIME)
    launch = _look_up(trace.correlation, calls, trace.correlation[event])
    operator = _look_up(trace.external, np.flatnonzero(trace.kind == Kind.OPERATOR), trace.external[event])
    origin = np.where(launch != NONE, launch, operator)
    times_ns = np.where(origin != NONE, trace.start_ns[origin], trace.start_ns[event])
    numbers, correlation = trace.correlation[calls], trace.correlation[event]
    first = numbers[numbers > 0].min(initial=np.iinfo(np.int64).max)
    if first < np.iinfo(np.int64).max:
        earlier = (origin == NONE) & (correlation > 0) & (correlation < first)
        times_ns = np.where(earlier, np.minimum(times_ns, marks.start_ns[0] - 1), times_ns)
    return _Work(event, launch, operator, times_ns)


def _look_up(column: np.ndarray, candidates: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return for each wanted value the candidate whose column has it, or NONE; only values above 0 are links."""
    candidates = candidates[column[candidates] > 0]
    if not len(candidates):
        return np.full(len(wanted), NONE)
    ordered = candidates[np.argsort(column[candidates], kind="stable")]
    place = np.minimum(np.searchsorted(column[ordered], wanted), len(ordered) - 1)
    return np.where(column[ordered[place]] == wanted, ordered[place], NONE)


def _place_steps(trace: Trace, marks: Windows, work: _Work) -> tuple[Windows, Windows]:
    """Return the steps as the host sees them, without gaps, and as the device does.

    The last one ends when all is done that was launched in it. On the device the first begins when that is done with
    what was launched before, but never after its own first kernel, which may run beside that on another stream. Where
    the host is far ahead, that is after the marks of several steps: those are then empty, and all of the device's time
    is in the rest.
    """
    begin_ns, start_ns, end_ns = int(marks.start_ns[0]), trace.start_ns[work.event], trace.end_ns[work.event]
    before = work.launched_ns < begin_ns
    inside = ~before & (work.launched_ns < marks.end_ns[-1])
    last_ns = end_ns[inside].max(initial=marks.end_ns[-1])
    on_host = Windows(marks.start_ns, np.append(marks.start_ns[1:], last_ns))
    own_ns = start_ns[~before & (start_ns >= begin_ns)]
    first_ns = min(end_ns[before].max(initial=begin_ns), own_ns.min(initial=np.iinfo(np.int64).max))
    if first_ns >= last_ns:
        return on_host, on_host
    return on_host, Windows(np.maximum(on_host.start_ns, first_ns), np.maximum(on_host.end_ns, first_ns))


def _from_origin(work: _Work, of_event: np.ndarray) -> np.ndarray:
    """Return what the runtime call, or else the operator, has in a column."""
    padded = np.append(of_event, NONE).astype(np.int64)  # Number NONE is the last place.
    origin: np.ndarray = np.where(padded[work.launch] != NONE, padded[work.launch], padded[work.operator])
    return origin


def _parts(trace: Trace, work: _Work, host: HostTime, main_parts: Intervals) -> np.ndarray:
    """Return the part that launched each kernel; another thread's launch is in the part where the main thread is."""
    part: np.ndarray = _from_origin(work, host.part_of_event)
    launch_ns = trace.start_ns[np.where(work.launch != NONE, work.launch, work.operator)]
    place = np.searchsorted(main_parts.start_ns, launch_ns, side="right") - 1
    known = (place >= 0) & work.is_known
    if known.any():
        meanwhile = np.where(known & (launch_ns < main_parts.end_ns[place]), main_parts.label[place], NONE)
        part = np.where(part == NONE, meanwhile, part)
    part[part == NONE] = OTHER_PART
    return part


def _notes(trace: Trace, on_host: Windows, steps: Windows, work: _Work) -> list[str]:
    notes = []
    late_ns = int(steps.start_ns[0] - on_host.start_ns[0])
    if late_ns >= NOTABLE_SHARE * steps.length_ns / len(steps.start_ns):
        notes.append(
            f"{late_ns / 1e6:.3g} ms of work that was launched before the first recorded step ran on into it: it is "
            "not counted, and the step begins where it ended"
        )
    graphs = [number for number, name in enumerate(trace.names) if "GraphLaunch" in name]
    in_graph = (work.launch != NONE) & np.isin(trace.name[work.launch], graphs)
    time_ns = trace.end_ns[work.event] - trace.start_ns[work.event]
    share = time_ns[in_graph].sum() / max(time_ns.sum(), 1)
    if share >= NOTABLE_SHARE:
        notes.append(
            f"{share:.0%} of the device's work ran in graph launches: told apart by the kernels' names alone (products "
            "of attention count as matrix products), and counted to the part of the step that launched them"
        )
    return notes
