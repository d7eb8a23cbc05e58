"""Readings of the host: what the sampler watches where there is no GPU."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any

import psutil

from harness.measurement.samples import Sample, take_sample

SHORTEST_WINDOW_S = 0.05
"""The kernel counts the system's processor time in ticks of 10 ms: a shorter window says nothing."""

REFUSALS = (psutil.Error, OSError)


class HostReader:
    """Reads this process and its host; processor loads are those since the reading before, hence None in the first."""

    def __init__(self) -> None:
        self.process = psutil.Process()
        self.process_cpu_percent: float | None = None
        self.system_cpu_percent: float | None = None
        self._before: tuple[float, float, tuple[float, float] | None] | None = None

    def read(self) -> Sample:
        """Return what can be read now; a value that can't be is None (psutil's and the system's errors)."""
        # psutil.cpu_percent() keeps its last reading in a module variable that other callers share; process_time()
        # resolves nanoseconds, where /proc/<pid>/stat has ticks of 10 ms.
        wall_s, process_s = time.perf_counter(), time.process_time()
        self.process_cpu_percent = self.system_cpu_percent = None
        if self._before is None or wall_s - self._before[0] >= SHORTEST_WINDOW_S:
            system = None
            with suppress(*REFUSALS):
                system = split_cpu_times(psutil.cpu_times())
            before, self._before = self._before, (wall_s, process_s, system)
            if before is not None:
                self.process_cpu_percent = 100.0 * (process_s - before[1]) / (wall_s - before[0])
                if before[2] is not None and system is not None and system[1] > before[2][1]:
                    share = (system[0] - before[2][0]) / (system[1] - before[2][1])
                    # The kernel's idle and iowait counters may step back a little.
                    self.system_cpu_percent = 100.0 * min(1.0, max(0.0, share))
        return take_sample("psutil", self, REFUSALS)


def usable_cpus() -> list[int]:
    """Return the numbers of the processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def split_cpu_times(times: Any) -> tuple[float, float]:
    """Return busy and total seconds of `psutil.cpu_times()`, as psutil's own percentages count them.

    Waiting for a disk is not busy; a guest's time is already in its host's user time (Linux).
    """
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return total - times.idle - getattr(times, "iowait", 0.0), total
