"""The table of verdicts and the one sentence above it, for every report and the console alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from reports.document import Text, code, joined, spans
from reports.formatting import (
    NONE,
    energy,
    full_stop,
    memory,
    one_line,
    points,
    quality,
    ratio,
    speedup,
    supported_digits,
)
from reports.select import best_accepted

if TYPE_CHECKING:
    from harness.analysis.model import Analysis, ContenderAnalysis

LONGEST_REASON = 600
"""Characters; a reason may hold numbers, bounds and what would settle it, and `analysis.json` has all of it."""

ROW_PLOT = "speedup-"
"""Beginning of the names of the small plots in the table of verdicts, one for each contender."""

STATES = {"measured": "measured", "not_applicable": "NOT_APPLICABLE", "failed": "FAILED", "not_run": "not run"}

SAME_UPDATES = "same updates"
"""Quality holds because the strategy makes the reference's updates."""

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
    words = contender.verdict or STATES[contender.state]
    return f"{words} (peer)" if contender.is_peer else words


def reasons_words(contender: ContenderAnalysis) -> str:
    """Return the reasons of a verdict in one line."""
    return full_stop(one_line("; ".join(reason.text for reason in contender.reasons), LONGEST_REASON))


def quality_words(contender: ContenderAnalysis) -> str:
    """Say in a word or two whether quality is shown to hold: a part of what the verdict rests on."""
    if contender.is_baseline:
        return NONE
    if contender.verdict == "REJECTED":
        return "rejected"
    if contender.evidence is not None and contender.evidence.shown_same:
        return SAME_UPDATES
    return "holds" if contender.verdict == "ACCEPTED" else "open"


def result_sentence(analysis: Analysis, mark: Callable[[str], str] = "`{}`".format) -> str:
    """Say in one sentence what to switch on, and why, as plain text; `mark` marks names up."""
    return "".join(mark(span.text) if span.kind == "code" else span.text for span in spans(result_text(analysis)))


def result_text(analysis: Analysis) -> Text:
    """Say in one sentence what to switch on, and why."""
    if analysis.baseline_contender.evidence is None:
        return "No speedups: there is no whole baseline job to compare with."
    contenders = analysis.contenders[1:]
    if not any(contender.state == "measured" for contender in contenders):
        return "Only the baseline was measured: no contender ended a whole fine-tuning."
    best = best_accepted(analysis)
    if best is None:
        strategies = sum(not contender.is_peer for contender in contenders)
        none = f"none of {strategies} contenders" if strategies != 1 else "no contender"
        by_verdict: dict[str, list[Text]] = {}
        for contender in contenders:
            by_verdict.setdefault(verdict_words(contender), []).append(code(contender.name))
        tally = joined([(f"{verdict}: ", joined(names)) for verdict, names in by_verdict.items()], "; ")
        return (f"Switch on nothing: {none} is accepted (", tally, ").")
    job, scoring, score = best.job_speedup, analysis.scoring, best.scores.get(analysis.scoring.headline)
    interval = steps = ""
    if job is not None and job.low is not None and job.high is not None:
        digits = supported_digits(job.low, job.high, least=1)
        interval = f" (95 % interval {job.low:.{digits}f} to {job.high:.{digits}f})"
    if best.step_speedup is not None:
        steps = f", its steps {speedup(best.step_speedup, ranges=False)}"
    if quality_words(best) == SAME_UPDATES:
        kept = "it makes the same updates"
    elif score is None or score.difference is None:
        kept = f"{scoring.titles} are within the margin"
    else:
        kept = f"{scoring.headline_title} changes by {points(score.difference, score.low, score.high)} points"
    fast = f"{speedup(job, ranges=False)} as fast{interval}{steps}"
    return ("Switch on ", code(best.name), f": the whole job is {fast}; quality holds: {kept}.")


def sampled_over(analysis: Analysis) -> str:
    """Say what the intervals of the scores are over."""
    examples = analysis.scoring.examples
    return f"seeds and {examples}" if analysis.seeds > 1 else f"{examples}; what another seed would give is not in it"


def range_notes(analysis: Analysis) -> list[str]:
    """Say where a speedup's brackets hold something else than an interval."""
    speedups = (value for c in analysis.contenders for value in (c.job_speedup, c.step_speedup) if value is not None)
    if not any(value.low is not None and value.kind == "range" for value in speedups):
        return []
    return [
        "Without timed segments a speedup's brackets hold the lowest and highest value seen instead: a range over "
        "seeds, or over epochs."
    ]


def noise_words(analysis: Analysis) -> str:
    """Say how quiet the machine was."""
    floor = analysis.noise_floor
    if floor is None:
        return "The baseline was not timed against itself (A/A), so there is no noise floor and no verdict on speed."
    aa = floor.ratio
    return (
        f"Noise floor: the baseline against itself (A/A) came out at {ratio(aa.estimate, aa.low, aa.high)}; no step "
        f"speedup within ±{100 * floor.share:.1f} % is claimed."
    )
