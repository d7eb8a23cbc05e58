"""What readings of a GPU's energy counter and power say of the time in which they were taken.

The counter moves about every 100 ms, so energy is taken between its first and its last move: at its edges, which are
known as exactly as readings lie close together. Power is integrated over the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.measurement.nvml import EnergyReading

READINGS_EVERY_S = 0.01
"""Over 3 s the edges are then known to ±0.3 %."""

EDGES_S = 0.25
"""What the counter's first and last move leave of a segment at its ends, at most."""


@dataclass(frozen=True, kw_only=True)
class EnergyWindow:
    """Energy between two instants of a segment; None where the driver does not report it."""

    energy_j: float | None
    """How far the counter went."""
    integrated_j: float | None
    """Power integrated (trapezoids)."""
    window_s: float
    error_s: float
    """How far the window's length may be off."""


def find_energy(readings: Sequence[EnergyReading]) -> EnergyWindow | None:
    """Return the energy between the counter's first and last move, or without a counter between all readings.

    None with too few readings, and where a counter did not move twice or was set back.
    """
    if len(readings) < 2:
        return None
    if all(reading.counter_j is None for reading in readings):
        begin_s, end_s = readings[0].time_s, readings[-1].time_s
        integrated_j = integrate_w(readings, begin_s, end_s)
        if integrated_j is None:
            return None
        return EnergyWindow(energy_j=None, integrated_j=integrated_j, window_s=end_s - begin_s, error_s=0.0)
    known = [(reading.time_s, reading.counter_j) for reading in readings if reading.counter_j is not None]
    moves = [((t0 + t1) / 2, (t1 - t0) / 2, after) for (t0, before), (t1, after) in pairwise(known) if before != after]
    if len(moves) < 2 or moves[-1][2] < moves[0][2]:
        return None
    (begin_s, begin_error_s, begin_j), (end_s, end_error_s, end_j) = moves[0], moves[-1]
    return EnergyWindow(
        energy_j=end_j - begin_j,
        integrated_j=integrate_w(readings, begin_s, end_s),
        window_s=end_s - begin_s,
        error_s=begin_error_s + end_error_s,
    )


def integrate_w(readings: Sequence[EnergyReading], begin_s: float, end_s: float) -> float | None:
    """Return power integrated over a time inside the readings, by trapezoids cut at its ends; None without power."""
    points = [(reading.time_s, reading.power_w) for reading in readings if reading.power_w is not None]
    if len(points) < 2:
        return None
    total_j = 0.0
    for (t0, p0), (t1, p1) in pairwise(points):
        low_s, high_s = max(t0, begin_s), min(t1, end_s)
        if high_s > low_s:
            slope = (p1 - p0) / (t1 - t0)
            total_j += (high_s - low_s) * (p0 + slope * ((low_s + high_s) / 2 - t0))
    return total_j
