"""Numbers and words as a report prints them, the same in every format."""

from __future__ import annotations

from harness.analysis.evidence.quality import Difference
from harness.statistics.estimate import Estimate, ratio_words, signed_words, supported_digits

NOT_MEASURED = "not measured"
NONE = "–"
"""In cells where there is nothing to measure."""

LONGEST_CELL = 300
"""Characters; longer texts (an error, say) are cut, and the log has the rest."""


def decimal(value: float, digits: int = 1) -> str:
    """Return the number with a true minus."""
    return f"{value:.{digits}f}".replace("-", "−")


def significant(value: float, digits: int = 3) -> str:
    """Return the number to so many significant digits, never with an exponent or fewer than its whole digits."""
    if value == 0:
        return "0"
    text = f"{value:.{digits}g}"
    if "e" not in text:
        return text
    return f"{value:.0f}" if abs(value) >= 1 else f"{value:.6f}".rstrip("0").rstrip(".") or "0"


def _decimals(value: float) -> int:
    """Return the decimals that leave about three digits."""
    return 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2


def seconds(value_s: float | None) -> str:
    """Return seconds with as many decimals as help, so that a column of them lines up."""
    if value_s is None:
        return NOT_MEASURED
    return f"{value_s:.{_decimals(value_s)}f} s" if value_s >= 0.005 or value_s == 0 else "<0.01 s"


def duration(value_s: float | None) -> str:
    """Return seconds; from two minutes on with the minutes beside them."""
    if value_s is None or value_s < 120:
        return seconds(value_s)
    return f"{value_s:.0f} s ({int(value_s + 0.5) // 60} min {int(value_s + 0.5) % 60} s)"


def milliseconds(value_ms: float | None, *, sign: bool = False) -> str:
    """Return milliseconds as a bare number, about three digits of it; `sign` for differences."""
    if value_ms is None:
        return NOT_MEASURED
    digits = _decimals(value_ms)
    return signed_words(value_ms, digits) if sign else decimal(value_ms, digits)


def count(value: float) -> str:
    """Return a whole number with its thousands apart."""
    return f"{value:,.0f}"


def amount(value: float, unit: str) -> str:
    """Return a large number with a prefix of the SI: 2.66e14 FLOP is 266 TFLOP."""
    for power, prefix in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if value >= 10**power:
            return f"{significant(value / 10**power)} {prefix}{unit}"
    return f"{significant(value)} {unit}"


def speedup(estimate: Estimate | None, *, ranges: bool = True) -> str:
    """Return a speedup with its interval or range."""
    if estimate is None:
        return NOT_MEASURED
    return ratio_words(estimate.estimate, estimate.low, estimate.high, ranges=ranges)


def points(difference: float, low: float | None, high: float | None, between: str = " ({})") -> str:
    """Return a difference in points, rounded to what its interval supports, and the interval: +0.4 (−0.2 to +1.0).

    Never without a decimal: margins are stated in tenths of a point, and an end near 0 must keep its sign.
    """
    if low is None or high is None:
        return signed_words(difference)
    digits = supported_digits(low, high, least=1)
    return signed_words(difference, digits) + between.format(
        f"{signed_words(low, digits)} to {signed_words(high, digits)}"
    )


def quality(difference: Difference | None, *, alone: bool = False, ranges: bool = True) -> str:
    """Return EM or F1 with the difference to the baseline and its interval: 18.4 (+0.4; −0.2 to +1.0)."""
    if difference is None or difference.contender is None:
        return NOT_MEASURED
    value = decimal(difference.contender)
    if alone or difference.difference is None:
        if not ranges or difference.contender_low is None or difference.contender_high is None:
            return value
        return f"{value} ({decimal(difference.contender_low)} to {decimal(difference.contender_high)})"
    between = "; {}" if ranges else ""
    return f"{value} ({points(difference.difference, difference.low, difference.high, between)})"


def percent(share: float) -> str:
    """Return a share as percent, small ones with a digit more."""
    value = share * 100.0
    if value == 0:
        return "0 %"
    if 0 < value < 0.05:
        return "<0.1 %"
    return f"{decimal(value, 0 if abs(value) >= 9.95 else 1)} %"


def memory(memory_gib: float | None) -> str:
    """Return memory so that a column of it lines up."""
    if memory_gib is None:
        return NOT_MEASURED
    return f"{memory_gib:.{1 if memory_gib >= 9.995 else 2}f} GiB"


def energy(energy_j: float | None) -> str:
    """Return joules, many of them as kilojoules."""
    if energy_j is None:
        return NOT_MEASURED
    return f"{significant(energy_j / 1000)} kJ" if energy_j >= 10_000 else f"{significant(energy_j)} J"


def token_energy(token_j: float) -> str:
    """Return what a token took, in millijoules or microjoules."""
    return f"{significant(token_j * 1e3)} mJ" if token_j >= 1e-3 else f"{significant(token_j * 1e6)} µJ"


def one_line(text: str, longest: int = LONGEST_CELL) -> str:
    """Return the text in one line, cut where it is too long."""
    flat = " ".join(text.split())
    return flat if len(flat) <= longest else flat[: longest - 1].rstrip() + "…"


def full_stop(text: str) -> str:
    """Return the text, ended with a full stop if it has no end of its own."""
    return text if text.endswith((".", "…", "!", "?")) else f"{text}."
