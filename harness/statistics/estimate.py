"""A number and how far to trust it: means, ranges of ratios, and as many digits as an interval supports."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

MAD_TO_DEVIATION = 1.4826
"""Standard deviation of a normal distribution ÷ its median absolute deviation."""

MOST_DIGITS = 3
"""Decimals of a number whose interval would support more: nobody reads them."""


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


def supported_digits(low: float, high: float, least: int = 0) -> int:
    """Return how many decimals an interval supports: half its width is at least one and a half units of the last one.

    1.30 to 1.33 supports two (1.31), 1.1 to 1.6 one (1.3); so rounding moves a number by a third of the half width at
    most. Never fewer than `least` or more than `MOST_DIGITS`.
    """
    half = (high - low) / 2.0
    if half <= 0.0:
        return max(least, 2)
    # The small term: 1.33 − 1.30 is a little more or less than 0.03 in binary.
    digits = math.ceil(-math.log10(half / 1.5) - 1e-9)
    return min(MOST_DIGITS, max(least, digits))


def signed_words(value: float, digits: int = 1) -> str:
    """Return the number with its sign, a true minus; without a sign if it rounds to 0."""
    rounded = round(value, digits)
    if rounded == 0:
        return f"{0:.{digits}f}"
    return f"{'+' if rounded > 0 else '−'}{abs(rounded):.{digits}f}"


def times_words(value: float) -> str:
    """Return a speedup: 1.42×."""
    return f"{value:.2f}×" if value < 9.995 else f"{value:.1f}×"


def ratio_words(estimate: float, low: float | None, high: float | None, *, ranges: bool = True) -> str:
    """Return a ratio rounded to what its interval supports, with the interval: 1.42× (1.38 to 1.47)."""
    if low is None or high is None:
        return times_words(estimate)
    digits = supported_digits(low, high, least=0 if estimate >= 9.95 else 1)
    text = f"{estimate:.{digits}f}×"
    return f"{text} ({low:.{digits}f} to {high:.{digits}f})" if ranges else text
