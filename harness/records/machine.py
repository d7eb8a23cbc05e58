"""How fast the machine itself is: at best, by its roof, and at one moment, by the speedometer."""

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
    """What the reading took; 0 where the clock had been read anyway."""


@dataclass(frozen=True, kw_only=True)
class RoofRecord:
    """What this machine can do at best, measured at the start of the run with shapes of this model."""

    matmul_tflops: dict[str, float]
    """Matrix-product rate in TFLOP/s by dtype ("float32", "bfloat16", …): the best of several shapes and repeats."""
    copy_gb_per_s: float | None
    """Bytes read plus bytes written per second of a large copy, in 1e9 bytes."""
    device_name: str
    threads: int | None
    """PyTorch's threads; None on a GPU."""
    shapes: dict[str, str]
    """By dtype, which product was the fastest: "m×k×n"."""
    took_s: float
