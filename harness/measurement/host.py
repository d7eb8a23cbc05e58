"""Readings of the host: what the sampler watches where there is no GPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import psutil

from harness.measurement.samples import HostSample

GIB = 2.0**30

SHORTEST_WINDOW_S = 0.05
"""The kernel counts the system's processor time in ticks of 10 ms: a shorter window says nothing."""

T = TypeVar("T")


class HostReader:
    """Reads this process and its host; processor loads are those since the reading before, hence None in the first."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._before: tuple[float, float, tuple[float, float] | None] | None = None

    def read(self) -> HostSample:
        """Return what can be read now; a value that can't be is None (psutil's and the system's errors)."""
        process_cpu_percent, system_cpu_percent = self._read_loads()
        rss = _try(self._process.memory_info)
        load = _try(psutil.getloadavg)
        swap = _try(psutil.swap_memory)
        return HostSample(
            timestamp_s=time.time(),
            process_cpu_percent=process_cpu_percent,
            rss_gib=None if rss is None else rss.rss / GIB,
            load_average_1min=None if load is None else load[0],
            system_cpu_percent=system_cpu_percent,
            swap_used_gib=None if swap is None else swap.used / GIB,
        )

    def _read_loads(self) -> tuple[float | None, float | None]:
        # psutil.cpu_percent() keeps its last reading in a module variable that other callers share; process_time()
        # resolves nanoseconds, where /proc/<pid>/stat has ticks of 10 ms.
        wall_s, process_s = time.perf_counter(), time.process_time()
        if self._before is not None and wall_s - self._before[0] < SHORTEST_WINDOW_S:
            return None, None
        times = _try(psutil.cpu_times)
        system = None if times is None else split_cpu_times(times)
        before, self._before = self._before, (wall_s, process_s, system)
        if before is None:
            return None, None
        return 100.0 * (process_s - before[1]) / (wall_s - before[0]), busy_percent(before[2], system)


def split_cpu_times(times: Any) -> tuple[float, float]:
    """Return busy and total seconds of `psutil.cpu_times()`, as psutil's own percentages count them.

    Waiting for a disk is not busy; a guest's time is already in its host's user time (Linux).
    """
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return total - times.idle - getattr(times, "iowait", 0.0), total


def busy_percent(before: tuple[float, float] | None, after: tuple[float, float] | None) -> float | None:
    """Return the busy share between two (busy, total) readings in percent of all cores; None if no time was counted."""
    if before is None or after is None or after[1] <= before[1]:
        return None
    share = (after[0] - before[0]) / (after[1] - before[1])
    return 100.0 * min(1.0, max(0.0, share))  # the kernel's idle and iowait counters may step back a little


def _try(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except (psutil.Error, OSError):
        return None
