"""A number and how far to trust it: means, ranges of ratios."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number and how far to trust it."""

    estimate: float
    low: float | None = None
    """Lower end; None when there is only one value, and so no spread."""
    high: float | None = None
    kind: Literal["range", "interval"] = "range"
    """Lowest and highest value seen, or a 95 % confidence interval."""


def mean_or_none(values: Iterable[float | None]) -> float | None:
    """Return the mean of what was measured and is finite; None if nothing was."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return fmean(known) if known else None


def value_range(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the lowest and highest value; None for both if there are fewer than two."""
    return (min(values), max(values)) if len(values) > 1 else (None, None)


def range_of_ratios(times_s: Iterable[tuple[float | None, float | None]]) -> Estimate | None:
    """Return baseline ÷ contender of the pairs that can be divided: geometric mean, so that 2× and 0.5× cancel, and
    range; None without any, no range of one.
    """
    positive = [(b, c) for b, c in times_s if b is not None and c is not None and 0 < b < math.inf and 0 < c < math.inf]
    if not positive:
        return None
    ratios = [baseline_s / contender_s for baseline_s, contender_s in positive]
    low, high = value_range(ratios)
    return Estimate(estimate=math.exp(fmean(map(math.log, ratios))), low=low, high=high)
