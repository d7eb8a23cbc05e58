"""The table of verdicts and the one sentence above it, for every report and the console alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
from reports.sections.select import best_accepted

if TYPE_CHECKING:
    from harness.analysis.model import Analysis, ContenderAnalysis

LONGEST_REASON = 600
"""Characters; a reason may hold numbers, bounds and what would settle it, and `analysis.json` has all of it."""

STATES = {"measured": "measured", "not_applicable": "NOT_APPLICABLE", "failed": "FAILED", "not_run": "not run"}

SAME_UPDATES = "same updates"
"""Quality holds because the strategy makes the reference's updates."""


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """One contender in words and numbers, not yet escaped for any format."""

    name: str
    verdict: str
    job_speedup: str
    step_speedup: str
    quality: str
    scores: tuple[str, ...]
    """One for each metric."""
    peak_memory: str
    energy: str

    def cells(self) -> tuple[str, ...]:
        """Return the values below `headers`, which leave quality in words to the report: a console is narrow."""
        return (
            self.name, self.verdict, self.job_speedup, self.step_speedup, *self.scores, self.peak_memory, self.energy,
        )  # fmt: skip


def headers(analysis: Analysis) -> tuple[str, ...]:
    """Return the heads of the columns of `VerdictRow.cells`."""
    return ("Strategy", "Verdict", "Job speedup", "Step speedup", *titles(analysis), "Peak memory", "Energy")


def titles(analysis: Analysis) -> tuple[str, ...]:
    """Return the titles of the task's metrics."""
    return tuple(metric.title for metric in analysis.scoring.metrics)


def verdict_rows(analysis: Analysis, *, ranges: bool = True) -> list[VerdictRow]:
    """Return a row for each contender, the baseline first; without ranges it takes less room."""
    return [verdict_row(analysis, contender, ranges=ranges) for contender in analysis.contenders]


def verdict_row(analysis: Analysis, contender: ContenderAnalysis, *, ranges: bool = True) -> VerdictRow:
    """Return one row; a contender without a single whole job has no numbers."""
    if contender.evidence is None:
        nothing = (NONE,) * len(titles(analysis))
        return VerdictRow(name=contender.name, verdict=verdict_words(contender), job_speedup=NONE, step_speedup=NONE,
                          quality=NONE, scores=nothing, peak_memory=NONE, energy=NONE)  # fmt: skip
    alone = contender.is_baseline
    return VerdictRow(
        name=contender.name,
        verdict=verdict_words(contender),
        job_speedup=speedup(contender.job_speedup, ranges=ranges),
        step_speedup=speedup(contender.step_speedup, ranges=ranges),
        quality=quality_words(contender),
        scores=tuple(
            quality(contender.scores.get(metric.name), alone=alone, ranges=ranges)
            for metric in analysis.scoring.metrics
        ),
        peak_memory=memory(contender.peak_memory_gib),
        energy=energy(contender.energy_j),
    )


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
        return (f"Switch on nothing: {none} is accepted (", _tally(analysis), ").")
    steps = "" if best.step_speedup is None else f", its steps {speedup(best.step_speedup, ranges=False)}"
    return (
        "Switch on ", code(best.name), f": the whole job is {_job_words(best)}{steps}; quality holds: "
        f"{_kept_words(analysis, best)}.",
    )  # fmt: skip


def _job_words(contender: ContenderAnalysis) -> str:
    estimate = contender.job_speedup
    fast = f"{speedup(estimate, ranges=False)} as fast"
    if estimate is None or estimate.low is None or estimate.high is None:
        return fast
    digits = supported_digits(estimate.low, estimate.high, least=1)
    return f"{fast} (95 % interval {estimate.low:.{digits}f} to {estimate.high:.{digits}f})"


def _kept_words(analysis: Analysis, contender: ContenderAnalysis) -> str:
    """Say how quality is known to hold."""
    if quality_words(contender) == SAME_UPDATES:
        return "it makes the same updates"
    scoring, score = analysis.scoring, contender.scores.get(analysis.scoring.headline)
    if score is None or score.difference is None:
        return f"{scoring.titles} are within the margin"
    return f"{scoring.headline_title} changes by {points(score.difference, score.low, score.high)} points"


def _tally(analysis: Analysis) -> Text:
    """Return the verdicts with the contenders that got them."""
    groups: dict[str, list[Text]] = {}
    for contender in analysis.contenders[1:]:
        groups.setdefault(verdict_words(contender), []).append(code(contender.name))
    return joined([(f"{verdict}: ", joined(names)) for verdict, names in groups.items()], "; ")


SPEEDUP_MEANS = (
    "Speedup = baseline time ÷ contender time, so above 1 is faster. Job: everything the user waits for, from the "
    "start of the process to the last byte saved, with a cold compile. Step: training alone."
)


def spread_notes(analysis: Analysis, *, ranges: bool = True) -> list[str]:
    """Say what the numbers and brackets of the table mean; `ranges` says whether the table holds ranges."""
    notes = [SPEEDUP_MEANS, noise_words(analysis)]
    if not ranges:
        notes.append("In brackets: the difference to the baseline in points. The intervals are in the report.")
        return notes
    notes.append(
        f"In brackets after a speedup: its 95 % interval. After {analysis.scoring.titles}: the difference to the "
        f"baseline in points, then its 95 % interval over {sampled_over(analysis)}."
    )
    return notes + range_notes(analysis)


def sampled_over(analysis: Analysis) -> str:
    """Say what the intervals of the scores are over."""
    return "seeds and questions" if analysis.seeds > 1 else "questions; what another seed would give is not in it"


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
