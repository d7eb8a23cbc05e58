"""The speedometer: a fixed piece of work that tells how fast the machine is at this moment.

Virtual machines halve their speed for minutes with nothing to be seen inside: no steal, no foreign process. A fixed
matrix product and a fixed copy, some tens of milliseconds together, show it.

The parent does the work, for jobs and for blocks: so all readings of a run are of one process, with the same threads
and the same memory, whatever the contender has set in its own, and the workers' heaps and caches stay theirs.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch

from harness.measurement.conditions import POWER_CAP
from harness.measurement.metrics import decode_throttle_reasons
from harness.measurement.samples import Sample, known_values
from harness.measurement.usual_speed import UsualSpeed, find_usual_speed
from harness.records.machine import SpeedometerReading

SIDE = 768
"""Of the multiplied matrices: some milliseconds on two cores, and all three fit into the second-level caches."""

LEAST_REPEATS, MOST_REPEATS = 2, 5
"""Of each, of which the fastest counts: what else runs for a moment is no speed of the machine."""

MOST_S = 0.04
"""No further repeat of either begins after this time."""

LEAST_COPIED_BYTES = 64 * 2**20
MOST_COPIED_BYTES = 512 * 2**20

CACHE_SIZE = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
"""Linux names the last cache's size here, as "32768K"."""

SETTLE_S = 0.01
"""Idle time before a reading: the threads of whoever worked last stop spinning within milliseconds."""

LAST_READINGS = 15
"""Those of them that say what is usual for a block. Blocks are pairs and survive a machine that stays slow: after half
as many readings that is what is usual."""


class Speedometer:
    """Reads the machine's speed, and remembers the last readings. Its memory is allocated with the first one."""

    def __init__(self) -> None:
        self._last: deque[SpeedometerReading] = deque(maxlen=LAST_READINGS)
        self._left: torch.Tensor | None = None
        self._out = self._buffer = torch.empty(0)

    @property
    def usual(self) -> UsualSpeed:
        """What is usual by the last readings."""
        return find_usual_speed(list(self._last))

    def read(self) -> SpeedometerReading:
        """Do the fixed work and return its rates."""
        when_s, start_s = time.time(), time.perf_counter()
        if self._left is None:
            self._allocate()
        time.sleep(SETTLE_S)
        left, out = self._left, self._out
        source, target = self._buffer.chunk(2)
        with torch.no_grad():
            product_s = _shortest_s(lambda: torch.mm(left, left, out=out))  # type: ignore[arg-type]
            copy_s = _shortest_s(lambda: target.copy_(source))
        reading = SpeedometerReading(
            when_s=when_s,
            matmul_gflops=2.0 * SIDE**3 / product_s / 1e9,
            memory_gb_per_s=self._buffer.numel() * self._buffer.element_size() / copy_s / 1e9,
            took_s=time.perf_counter() - start_s,
        )
        self._last.append(reading)
        return reading

    def _allocate(self) -> None:
        """Take the memory, and do everything once: new memory and sleeping threads are slow."""
        self._left, self._out = torch.full((SIDE, SIDE), 0.5), torch.zeros(SIDE, SIDE)
        self._buffer = torch.ones(copied_bytes() // 4)
        torch.mm(self._left, self._left, out=self._out)
        source, target = self._buffer.chunk(2)
        target.copy_(source)


def copied_bytes() -> int:
    """Return how much memory a sweep reads and writes: twice the last cache, within bounds."""
    try:
        cache = int(CACHE_SIZE.read_text(encoding="ascii").strip().removesuffix("K")) * 1024
    except (OSError, ValueError):
        cache = 0
    return min(MOST_COPIED_BYTES, max(LEAST_COPIED_BYTES, 2 * cache))


def read_clock(trained: Sequence[Sample]) -> tuple[SpeedometerReading, ...]:
    """Return a job's reading on a GPU: the median clock of the samples while it trained; none where there is none.

    Nor where the GPU held its clock down to stay within its power limit: that clock follows the job's own draw.
    """
    clocks_mhz = known_values(trained, "sm_clock_mhz")
    reasons = known_values(trained, "throttle_reasons")
    if not clocks_mhz or any(POWER_CAP in decode_throttle_reasons(int(bits)) for bits in reasons):
        return ()
    middle_s = (trained[0].timestamp_s + trained[-1].timestamp_s) / 2.0
    return (SpeedometerReading(when_s=middle_s, sm_clock_mhz=median(clocks_mhz)),)


def _shortest_s(work: Callable[[], object]) -> float:
    times_s: list[float] = []
    while len(times_s) < LEAST_REPEATS or (len(times_s) < MOST_REPEATS and sum(times_s) < MOST_S):
        start_s = time.perf_counter()
        work()
        times_s.append(time.perf_counter() - start_s)
    return min(times_s)
