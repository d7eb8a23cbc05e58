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

    def start(self) -> None:
        """Begin the first step."""
        self._marks_s = [time.perf_counter()]

    def mark(self) -> None:
        """End the present step and begin the next."""
        self._marks_s.append(time.perf_counter())

    def read(self) -> list[float]:
        """Return the seconds of each step; waits for the device."""
        return [end_s - begin_s for begin_s, end_s in pairwise(self._marks_s)]


class CudaStepClock(StepClock):
    """Steps on a GPU: events in the stream, read after one synchronisation."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._device = device
        self._events: list[torch.cuda.Event] = []

    def start(self) -> None:
        """Wait for earlier work, then begin the first step."""
        torch.cuda.synchronize(self._device)
        self._events = []
        self.mark()

    def mark(self) -> None:
        """Put an event into the stream."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        self._events.append(event)

    def read(self) -> list[float]:
        """Synchronise once and return the seconds between the events."""
        torch.cuda.synchronize(self._device)
        return [begin.elapsed_time(end) / 1000.0 for begin, end in pairwise(self._events)]


def make_step_clock(device: torch.device) -> StepClock:
    """Return the clock that fits `device`."""
    return CudaStepClock(device) if device.type == "cuda" else StepClock()
