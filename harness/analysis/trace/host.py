"""The host's side of a trace: operators inside operators on each thread, and whose each stretch of time is.

Operators nest, so each instant of a thread belongs to the innermost one. Its category is decided, in this order, by:
the annotation around it ("data", "optimizer", or one named like a category, for work that no operator shows), a cast
around it, attention or loss around it (in the backward pass: around the operator whose derivative it is), its own name
and shapes, and what called it.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from harness.analysis.trace.classify import CASTS, SOFTMAX, AttentionShapes, classify_operator
from harness.analysis.trace.intervals import Intervals, Windows
from harness.analysis.trace.model import CATEGORIES, PARTS
from harness.analysis.trace.read import NONE, Kind, Trace

STEP_PREFIX = "ProfilerStep#"
COMPILED_PREFIX = "## Call CompiledFxGraph"
"""Inductor's code on a processor: products in it are operators, all else are loops fused in C++ that the trace does
not name. They count as element-wise work."""

_ENGINE_PREFIX = "autograd::engine::"
_OTHER = CATEGORIES.index("other")
_COPIES = CATEGORIES.index("copies")
_HOLDING = {CATEGORIES.index(name) for name in ("attention", "loss")}
"""What runs inside these belongs to them, but for casts."""

_FIRM = {CATEGORIES.index(name) for name in ("optimizer", "data")}
"""Whatever runs inside these belongs to them."""

_TELLING = frozenset(CATEGORIES) - {"idle", "other"}


class _Frame(NamedTuple):
    """What an open event means for what runs inside it."""

    end_ns: int
    event: int
    category: int
    """Of its own time; NONE if nothing says."""
    scope: int
    """That everything inside belongs to; NONE if it is each operator's own affair."""
    part: int


@dataclass(frozen=True, kw_only=True)
class HostTime:
    """Disjoint stretches of each thread's time; where no event is open there is none."""

    stretches: Intervals
    """Labelled with categories; NONE where an annotation is open and nothing says whose its time is."""
    parts: Intervals
    """The same stretches, labelled with parts of the step."""
    event: np.ndarray
    """Of each stretch: the innermost event."""
    on_main: np.ndarray
    """Of each stretch: whether it is on the thread that runs the steps."""
    category_of_event: np.ndarray
    """For every event of the trace; NONE for those that are not on the host, or outside the steps."""
    part_of_event: np.ndarray
    recorded_inside: np.ndarray
    """How many events were recorded in the time of each category; the last one: in time that is nobody's."""


def assign_host_time(trace: Trace, windows: Windows, main_track: int) -> HostTime:
    """Return whose time it is on every thread of the host, inside the windows."""
    on_host = np.isin(trace.kind, (Kind.ANNOTATION, Kind.OPERATOR, Kind.RUNTIME))
    window = windows.find(trace.start_ns)
    chosen = np.flatnonzero(on_host & (window >= 0))
    end_ns = np.minimum(trace.end_ns, windows.end_ns[window])
    nesting = _Nesting(trace, chosen)
    # The thread of the steps first: forward operators must be known before other threads run their derivatives.
    for track in sorted(set(trace.track[chosen].tolist()), key=lambda number: (number != main_track, number)):
        events = chosen[trace.track[chosen] == track]
        order = np.lexsort((-end_ns[events], trace.start_ns[events]))
        nesting.walk(events[order], end_ns)
    columns = (nesting.start_ns, nesting.end_ns, nesting.event)
    start_ns, end_ns, event = (np.array(column, dtype=np.int64) for column in columns)
    return HostTime(
        stretches=Intervals(start_ns, end_ns, nesting.category_of_event[event].astype(np.int64)),
        parts=Intervals(start_ns, end_ns, nesting.part_of_event[event].astype(np.int64)),
        event=event,
        on_main=trace.track[event] == main_track,
        category_of_event=nesting.category_of_event,
        part_of_event=nesting.part_of_event,
        recorded_inside=nesting.recorded_inside,
    )


class _Nesting:
    """Walks through the events of one thread after the other."""

    def __init__(self, trace: Trace, chosen: np.ndarray) -> None:
        self._trace = trace
        is_softmax = np.array([name in SOFTMAX for name in trace.names], dtype=bool)
        inputs = np.unique(trace.shapes[chosen[is_softmax[trace.name[chosen]]]])
        shapes = [trace.input_shapes[number] for number in inputs]
        self._attention = AttentionShapes(first for first, *_ in filter(None, shapes))
        self._created_scope: dict[int, int] = {}
        """By sequence number: the scope in which a forward operator created its autograd node."""
        self.start_ns, self.end_ns, self.event = array("q"), array("q"), array("q")
        self.category_of_event = np.full(len(trace.kind), NONE, dtype=np.int8)
        self.part_of_event = np.full(len(trace.kind), NONE, dtype=np.int8)
        self.recorded_inside = np.zeros(len(CATEGORIES) + 1)
        """The last place is that of NONE."""

    def walk(self, events: np.ndarray, end_ns: np.ndarray) -> None:
        """Take the events of one thread, sorted by start, the longer first."""
        trace = self._trace
        columns = (events, trace.start_ns[events], end_ns[events], trace.kind[events], trace.name[events])
        rows = zip(*(column.tolist() for column in columns), trace.sequence[events].tolist(), strict=True)
        outside = _Frame(np.iinfo(np.int64).max, NONE, NONE, NONE, NONE)
        stack, cursor = [outside], 0
        for event, start, end, kind, name, sequence in rows:
            while stack[-1].end_ns <= start:
                cursor = self._give(stack.pop(), cursor)
            parent = stack[-1]
            cursor = self._give(parent, cursor, until=start)
            self.recorded_inside[parent.category] += 1
            frame = self._open(parent, event, min(end, parent.end_ns), kind, trace.names[name], sequence)
            self.category_of_event[event], self.part_of_event[event] = frame.category, frame.part
            stack.append(frame)
        while len(stack) > 1:
            cursor = self._give(stack.pop(), cursor)

    def _give(self, frame: _Frame, start_ns: int, *, until: int | None = None) -> int:
        """Note that the time from `start_ns` belongs to a frame, and return where that ends."""
        end_ns = frame.end_ns if until is None else until
        if end_ns <= start_ns:
            return start_ns
        if frame.event != NONE:
            self.start_ns.append(start_ns)
            self.end_ns.append(end_ns)
            self.event.append(frame.event)
        return end_ns

    def _open(self, parent: _Frame, event: int, end_ns: int, kind: int, name: str, sequence: int) -> _Frame:
        if kind == Kind.ANNOTATION:
            named, part = _read_annotation(name)
            category = parent.category if named == NONE else named
            scope = category if category in _FIRM or category in _HOLDING else parent.scope
            return _Frame(end_ns, event, category, scope, parent.part if part == NONE else part)
        if kind == Kind.RUNTIME:
            return parent._replace(end_ns=end_ns, event=event)
        part = parent.part
        if part == NONE and name.startswith(_ENGINE_PREFIX):
            part = PARTS.index("backward")
        scope = parent.scope
        if scope == NONE and sequence != NONE and "Backward" in name:
            scope = self._created_scope.get(sequence, NONE)
        if scope not in _FIRM and (name in CASTS or scope == _COPIES):
            category = scope = _COPIES
        elif scope != NONE:
            category = scope
        else:
            own = classify_operator(name)
            if self._attention.cover(name, own, self._trace.input_shapes[self._trace.shapes[event]]):
                own = "attention"
            if own is None:
                category = parent.category if parent.category != NONE else _OTHER
            else:
                category = CATEGORIES.index(own)
                scope = category if category in _HOLDING else NONE
        if sequence != NONE and "Backward" not in name:
            self._created_scope[sequence] = scope if scope in _HOLDING else NONE
        return _Frame(end_ns, event, category, scope, part)


@lru_cache(maxsize=4096)
def _read_annotation(name: str) -> tuple[int, int]:
    """Return the category that an annotation gives to the time inside in which no operator runs, and the part of the
    step that it is; NONE if none.
    """
    category = NONE
    if name == "data" or name.startswith("enumerate(DataLoader)#"):
        category = CATEGORIES.index("data")
    elif name.startswith("Optimizer."):
        category = CATEGORIES.index("optimizer")
    elif name.startswith(COMPILED_PREFIX):
        category = CATEGORIES.index("elementwise")
    elif name in _TELLING:
        category = CATEGORIES.index(name)
    part = CATEGORIES[category] if category in _FIRM else name
    return category, PARTS.index(part) if part in PARTS else NONE
