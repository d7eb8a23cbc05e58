"""Who has the time: overlapping intervals of several kinds divided into disjoint amounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Intervals(NamedTuple):
    """Intervals of time, each with a label; they may overlap."""

    start_ns: np.ndarray
    end_ns: np.ndarray
    label: np.ndarray
    """0, 1, … ; below 0 means that an interval does not count."""

    def where(self, mask: np.ndarray) -> Intervals:
        """Return some of the intervals."""
        return Intervals(self.start_ns[mask], self.end_ns[mask], self.label[mask])


class Windows(NamedTuple):
    """The disjoint stretches of time that are looked at: the steps, in order."""

    start_ns: np.ndarray
    end_ns: np.ndarray

    @property
    def length_ns(self) -> int:
        """Of all together."""
        return int((self.end_ns - self.start_ns).sum())

    def find(self, time_ns: np.ndarray) -> np.ndarray:
        """Return for each time the number of the window that it lies in, or -1."""
        number = np.searchsorted(self.start_ns, time_ns, side="right") - 1
        inside = (number >= 0) & (time_ns < self.end_ns[number])
        return np.where(inside, number, -1)


def divide(windows: Windows, levels: Sequence[Intervals], labels: int, *, rest: int | None = None) -> np.ndarray:
    """Return how many nanoseconds of the windows belong to each of the `labels` labels: disjoint, so they can be added.

    Each instant goes to the first level that has an interval there, and in it, where several labels overlap, to
    all of them in equal parts for each interval. What no interval covers goes to the label `rest`; without one it is
    missing from the sum.
    """
    kept = [level.where((level.label >= 0) & (level.end_ns > level.start_ns)) for level in levels]
    edges = np.unique(np.concatenate([*windows, *(times for level in kept for times in level[:2])]))
    width = np.diff(edges).astype(np.float64)
    free = _count(edges, *windows) > 0
    result = np.zeros(labels)
    for level in kept:
        active = _count(edges, level.start_ns, level.end_ns)
        taken = free & (active > 0)
        share = np.divide(width, active, out=np.zeros_like(width), where=taken)
        for label in np.unique(level.label):
            own = level.where(level.label == label)
            result[label] += float((share * _count(edges, own.start_ns, own.end_ns)).sum())
        free &= active == 0
    if rest is not None:
        result[rest] += windows.length_ns - result.sum()
    return result


def _count(edges: np.ndarray, start_ns: np.ndarray, end_ns: np.ndarray) -> np.ndarray:
    """Return how many intervals cover each stretch between two neighbouring edges."""
    change = np.bincount(np.searchsorted(edges, start_ns), minlength=len(edges))
    change -= np.bincount(np.searchsorted(edges, end_ns), minlength=len(edges))
    return np.cumsum(change)[:-1]
