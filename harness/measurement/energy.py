"""What readings of a GPU's energy counter and power say of the time in which they were taken.

The counter moves about every 100 ms, so energy is taken between its first and its last move: at its edges, which are
known as exactly as readings lie close together. Power is integrated over the same time. Neither torch nor NVML is
imported: the analysis asks the same of recorded samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from harness.config import SHORTEST_ENERGY_S

if TYPE_CHECKING:
    from harness.measurement.nvml import EnergyReading

READINGS_EVERY_S = 0.01
"""Over 3 s the edges are then known to ±0.3 %."""

EDGES_S = 0.25
"""What the counter's first and last move leave of a segment at its ends, at most."""

LARGEST_DISAGREEMENT = 0.2
"""Of the larger of the two energies; beyond it `energy_note` says so (a factor of 1.7 has been reported)."""


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
    powers_w = [(reading.time_s, reading.power_w) for reading in readings]
    if all(reading.counter_j is None for reading in readings):
        begin_s, end_s = readings[0].time_s, readings[-1].time_s
        integrated_j = integrate_w(powers_w, begin_s, end_s)
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
        integrated_j=integrate_w(powers_w, begin_s, end_s),
        window_s=end_s - begin_s,
        error_s=begin_error_s + end_error_s,
    )


def integrate_w(
    powers_w: Iterable[tuple[float, float | None]], begin_s: float = -math.inf, end_s: float = math.inf
) -> float | None:
    """Return power by time integrated, by trapezoids cut at both ends; None with fewer than two readings of it."""
    known = [(time_s, power_w) for time_s, power_w in powers_w if power_w is not None]
    if len(known) < 2:
        return None
    times_s, watts = zip(*known, strict=True)
    cut_s = np.unique(np.clip(times_s, begin_s, end_s))
    points = zip(cut_s.tolist(), np.interp(cut_s, times_s, watts).tolist(), strict=True)
    return float(sum((t1 - t0) * (p0 + p1) / 2 for (t0, p0), (t1, p1) in pairwise(points)))


def energy_note(window_s: float | None, counter_j: float | None, integrated_j: float | None) -> str | None:
    """Return in words why the energies should not be trusted; None when nothing speaks against them."""
    if window_s is None or (counter_j is None and integrated_j is None):
        return None
    if window_s < SHORTEST_ENERGY_S:
        return f"too short: {window_s:.2g} s, and the energy counter moves only about every 100 ms"
    if counter_j is None or integrated_j is None:
        return None
    larger, difference = max(counter_j, integrated_j), abs(counter_j - integrated_j)
    if difference <= LARGEST_DISAGREEMENT * larger:
        return None
    both = f"the energy counter ({counter_j:.4g} J) and integrated power ({integrated_j:.4g} J)"
    return f"{both} disagree by {difference / larger:.0%} of the larger"
