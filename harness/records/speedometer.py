"""What the speedometer read: how fast the machine did a fixed piece of work at one moment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SpeedometerReading:
    """One reading. On a processor two rates, on a GPU its clock; what was not measured is None."""

    when_s: float
    """Seconds since the epoch (`time.time`)."""
    matmul_gflops: float | None = None
    """Rate of a fixed fp32 matrix product on all threads, in 1e9 operations a second."""
    memory_gb_per_s: float | None = None
    """Bytes read plus bytes written per second of a copy larger than the last cache, in 1e9 bytes."""
    sm_clock_mhz: float | None = None
    """Median clock of the multiprocessors while they worked."""
    took_s: float = 0.0
    """What the reading took."""
