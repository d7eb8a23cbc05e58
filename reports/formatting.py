"""Numbers, cells and tables as a report prints them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from harness.analysis.statistics import Difference, Estimate

NOT_MEASURED = "not measured"
NONE = "–"
"""In rows where nothing at all was measured."""

_MARKUP = re.compile(r"[\\*`\[\]~$]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")
LONGEST_CELL = 300
"""Characters; longer texts (an error, say) are cut, and the log has the rest."""


def signed(value: float, digits: int = 1) -> str:
    """Return the number with its sign, a true minus; without a sign if it rounds to 0."""
    rounded = round(value, digits)
    if rounded == 0:
        return f"{0:.{digits}f}"
    return f"{'+' if rounded > 0 else '−'}{abs(rounded):.{digits}f}"


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


def measured(value: float | None, unit: str = "", digits: int = 3) -> str:
    """Return the number with its unit, or that it was not measured."""
    if value is None:
        return NOT_MEASURED
    return f"{significant(value, digits)} {unit}".rstrip()


def seconds(value_s: float | None) -> str:
    """Return seconds with as many decimals as help, so that a column of them lines up."""
    if value_s is None:
        return NOT_MEASURED
    if value_s >= 99.95:
        return f"{value_s:.0f} s"
    if value_s >= 9.995:
        return f"{value_s:.1f} s"
    return f"{value_s:.2f} s" if value_s >= 0.005 or value_s == 0 else "<0.01 s"


def duration(value_s: float | None) -> str:
    """Return seconds; from two minutes on with the minutes beside them."""
    if value_s is None or value_s < 120:
        return seconds(value_s)
    return f"{value_s:.0f} s ({int(value_s + 0.5) // 60} min {int(value_s + 0.5) % 60} s)"


def count(value: float) -> str:
    """Return a whole number with its thousands apart."""
    return f"{value:,.0f}"


def times(value: float) -> str:
    """Return a speedup: 1.42×."""
    return f"{value:.2f}×" if value < 9.995 else f"{value:.1f}×"


def speedup(estimate: Estimate | None, *, ranges: bool = True) -> str:
    """Return a speedup with its range: 1.42× (1.38 to 1.47)."""
    if estimate is None:
        return NOT_MEASURED
    if not ranges or estimate.low is None or estimate.high is None:
        return times(estimate.estimate)
    low, high = (times(value).removesuffix("×") for value in (estimate.low, estimate.high))
    return f"{times(estimate.estimate)} ({low} to {high})"


def quality(difference: Difference | None, *, alone: bool = False, ranges: bool = True) -> str:
    """Return EM or F1 with the difference to the baseline and its interval: 18.4 (+0.4; −0.2 to +1.0)."""
    if difference is None or difference.contender is None:
        return NOT_MEASURED
    value = decimal(difference.contender)
    if alone or difference.difference is None:
        if not ranges or difference.contender_low is None or difference.contender_high is None:
            return value
        return f"{value} ({decimal(difference.contender_low)} to {decimal(difference.contender_high)})"
    text = signed(difference.difference)
    if ranges and difference.low is not None and difference.high is not None:
        text += f"; {signed(difference.low)} to {signed(difference.high)}"
    return f"{value} ({text})"


def percent(share: float) -> str:
    """Return a share as percent, small ones with a digit more."""
    value = share * 100.0
    if value == 0:
        return "0 %"
    if 0 < value < 0.05:
        return "<0.1 %"
    return f"{decimal(value, 0 if abs(value) >= 9.95 else 1)} %"


def energy(energy_j: float | None) -> str:
    """Return joules, many of them as kilojoules."""
    if energy_j is None:
        return NOT_MEASURED
    return f"{significant(energy_j / 1000)} kJ" if energy_j >= 10_000 else f"{significant(energy_j)} J"


def one_line(text: str, longest: int = LONGEST_CELL) -> str:
    """Return the text in one line, cut where it is too long."""
    flat = " ".join(text.split())
    return flat if len(flat) <= longest else flat[: longest - 1].rstrip() + "…"


def plain(text: str) -> str:
    """Return foreign text so that Markdown shows it as it is, in a table cell too."""
    escaped = html.escape(one_line(text), quote=False)
    return _MARKUP.sub(lambda match: "\\" + match.group(), escaped).replace("|", "&#124;")


def code(text: str) -> str:
    """Return the text as code, in a table cell too."""
    flat = one_line(text)
    return f"<code>{plain(flat)}</code>" if "|" in flat or "`" in flat else f"`{flat}`"


def fenced(text: str, language: str) -> str:
    """Return the text as a block of code that it can't break out of."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def full_stop(text: str) -> str:
    """Return the text, ended with a full stop if it has no end of its own."""
    return text if text.endswith((".", "…", "!", "?")) else f"{text}."


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], align: str = "l") -> str:
    """Return a Markdown table; `align` has an l or r for each column, missing ones are r.

    Cells must have gone through `plain` or `code` if others wrote them.
    """
    rule = ["---:" if side == "r" else ":---" for side in align.ljust(len(headers), "r")]
    lines = [list(headers), rule, *[list(row) for row in rows]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
