"""Long series as few points as a picture can show."""

from __future__ import annotations

import math
from collections.abc import Sequence

MOST_POINTS = 1000
"""Points of a line; more than a chart has pixels help nobody."""


def bucket_size(count: int, most: int = MOST_POINTS) -> int:
    """Return how many of `count` values become one point."""
    return max(1, math.ceil(count / most))


def thin(values: Sequence[float | None], most: int = MOST_POINTS) -> list[float | None]:
    """Return at most `most` values: means over neighbours, without those that are None or not finite."""
    size = bucket_size(len(values), most)
    points: list[float | None] = []
    for start in range(0, len(values), size):
        known = [value for value in values[start : start + size] if value is not None and math.isfinite(value)]
        points.append(sum(known) / len(known) if known else None)
    return points
