"""The table of verdicts and what they rest on in words, for every report and the console alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.statistics.estimate import ratio_words
from reports.formatting import (
    NONE,
    energy,
    full_stop,
    memory,
    one_line,
    quality,
    speedup,
)

if TYPE_CHECKING:
    from harness.analysis.model import Analysis, ContenderAnalysis

LONGEST_REASON = 600
"""Characters; a reason may hold numbers, bounds and what would settle it, and `analysis.json` has all of it."""

ROW_PLOT = "speedup-"
"""Beginning of the names of the small plots in the table of verdicts, one for each contender."""

QUALITY_WORDS = {"SAME": "same updates", "HOLDS": "holds", "WORSE": "worse", "OPEN": "open"}
"""In the table, by what is shown."""

ROUNDED = "rounding within noise"
"""The same in a lower precision: its updates are not the baseline's, but nearer than training's own noise."""

SPEEDUP_MEANS = (
    "Speedup = baseline time ÷ contender time, so above 1 is faster. Job: everything the user waits for, from the "
    "start of the process to the last byte saved, with a cold compile. Step: training alone."
)


def verdict_rows(analysis: Analysis, *, ranges: bool = True) -> list[dict[str, str]]:
    """Return each contender's cells by column, not yet escaped for any format; without ranges they take less room.

    A contender without a single whole job has no numbers.
    """
    rows = []
    for contender in analysis.contenders:
        scores = {
            metric.title: quality(contender.scores.get(metric.name), alone=contender.is_baseline, ranges=ranges)
            for metric in analysis.scoring.metrics
        }
        numbers = {
            "Job speedup": speedup(contender.job_speedup, ranges=ranges),
            "Quality": quality_words(contender),
            "Step speedup": speedup(contender.step_speedup, ranges=ranges),
            **scores,
            "Peak memory": memory(contender.peak_memory_gib),
            "Energy": energy(contender.energy_j),
        }
        if contender.evidence is None:
            numbers = dict.fromkeys(numbers, NONE)
        rows.append({"Strategy": contender.name, "Verdict": verdict_words(contender), **numbers})
    return rows


def verdict_words(contender: ContenderAnalysis) -> str:
    """Return the verdict, or what stands in its place."""
    if contender.is_baseline and contender.state == "measured":
        return "baseline"
    words = contender.verdict or "NOT_MEASURED"
    return f"{words} (peer)" if contender.is_peer else words


def reasons_words(contender: ContenderAnalysis) -> str:
    """Return the reasons of a verdict in one line; each alone is cut where it is too long."""
    return full_stop("; ".join(one_line(reason.text, LONGEST_REASON) for reason in contender.reasons))


def quality_words(contender: ContenderAnalysis) -> str:
    """Say in a word or two what is shown of quality: a part of what the verdict rests on."""
    if contender.verdict == "REJECTED" and contender.quality is None:
        return "rejected"
    if contender.quality == "SAME" and contender.evidence is not None and contender.evidence.lowers_precision:
        return ROUNDED
    return NONE if contender.quality is None else QUALITY_WORDS[contender.quality]


def sampled_over(analysis: Analysis) -> str:
    """Say what the intervals of the scores are over."""
    examples = analysis.scoring.examples
    return f"seeds and {examples}" if analysis.seeds > 1 else f"{examples}; what another seed would give is not in it"


def noise_words(analysis: Analysis) -> str:
    """Say how quiet the machine was."""
    floor = analysis.noise_floor
    if floor is None:
        return "The baseline was not timed against itself (A/A), so there is no noise floor and no verdict on speed."
    aa, one = floor.ratio, floor.processes == 1
    starts, they = ("one fresh process", "it") if one else (f"{floor.processes} fresh processes", "they")
    return (
        f"Noise floor of a step: ±{100 * floor.share:.1f} %, from {starts} of the baseline beside the live one (A/A): "
        f"{they} took {floor.live:.3f} times as long, which all ratios are corrected for, and so A/A is "
        f"{ratio_words(aa.estimate, aa.low, aa.high)}. Every interval holds "
        "this error; beyond that, none within 1 % is claimed to be faster or slower."
    )
