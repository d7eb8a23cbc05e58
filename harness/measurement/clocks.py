"""Clocks: the phases of a trial, and the steps of an epoch without a synchronisation in each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch


class PhaseClock:
    """Adds up wall-clock seconds by phase; phases are disjoint, so nesting is an error."""

    def __init__(self) -> None:
        self.phases_s: dict[str, float] = {}
        self._open: str | None = None

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        """Count the time inside towards `phase`."""
        if self._open is not None:
            raise RuntimeError(f"phase {phase} starts inside phase {self._open}")
        self._open = phase
        start = time.perf_counter()
        try:
            yield
        finally:
            self._open = None
            self.add(phase, time.perf_counter() - start)

    def add(self, phase: str, seconds: float) -> None:
        """Count `seconds` towards `phase`."""
        self.phases_s[phase] = self.phases_s.get(phase, 0.0) + seconds


class StepClock:
    """Times consecutive steps by the monotonic clock: `start`, then `mark` after each step, then `read` once."""

    def __init__(self) -> None:
        self._marks_s: list[float] = []
        self._paused_s: list[float] = []
        """Since each mark, until the next."""

    def start(self) -> None:
        """Begin the first step."""
        self._marks_s, self._paused_s = [time.perf_counter()], [0.0]

    def mark(self) -> None:
        """End the present step and begin the next."""
        self._marks_s.append(time.perf_counter())
        self._paused_s.append(0.0)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Leave the time inside out of the present step's."""
        start_s = time.perf_counter()
        try:
            yield
        finally:
            self._paused_s[-1] += time.perf_counter() - start_s

    def read(self) -> list[float]:
        """Return the seconds of each step; waits for the device."""
        return [
            end_s - begin_s - paused_s
            for (begin_s, end_s), paused_s in zip(pairwise(self._marks_s), self._paused_s, strict=False)
        ]

    def read_paused_s(self) -> float:
        """Return the seconds of all pauses together, those after the last step too; waits for the device."""
        return sum(self._paused_s)


class CudaStepClock(StepClock):
    """Steps on a GPU: events in the stream, read after one synchronisation."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._device = device
        self._events: list[torch.cuda.Event] = []
        self._pauses: list[list[tuple[torch.cuda.Event, torch.cuda.Event]]] = []
        """Begin and end of each pause since each mark, until the next."""

    def start(self) -> None:
        """Wait for earlier work, then begin the first step."""
        torch.cuda.synchronize(self._device)
        self._events, self._pauses = [], []
        self.mark()

    def mark(self) -> None:
        """Put an event into the stream."""
        self._events.append(self._record_event())
        self._pauses.append([])

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Leave out what the stream does between two events: copies, and idling if the host had it wait meanwhile."""
        begin = self._record_event()
        try:
            yield
        finally:
            self._pauses[-1].append((begin, self._record_event()))

    def _record_event(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    def read(self) -> list[float]:
        """Synchronise once and return the seconds between the events."""
        torch.cuda.synchronize(self._device)
        self._paused_s = [sum(_seconds(*pause) for pause in pauses) for pauses in self._pauses]
        return [
            _seconds(begin, end) - paused_s
            for (begin, end), paused_s in zip(pairwise(self._events), self._paused_s, strict=False)
        ]

    def read_paused_s(self) -> float:
        """Synchronise and return the seconds of all pauses together."""
        self.read()
        return super().read_paused_s()


def _seconds(begin: torch.cuda.Event, end: torch.cuda.Event) -> float:
    return float(begin.elapsed_time(end)) / 1000.0


def make_step_clock(device: torch.device) -> StepClock:
    """Return the clock that fits `device`."""
    return CudaStepClock(device) if device.type == "cuda" else StepClock()
