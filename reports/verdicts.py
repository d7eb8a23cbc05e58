"""The table of verdicts and the one sentence above it, for Markdown, TensorBoard and the console alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.analysis.model import Analysis, ContenderAnalysis
from reports.formatting import NONE, energy, measured, quality, signed, speedup, times

HEADERS = ("Strategy", "Verdict", "Job speedup", "Step speedup", "EM", "F1", "Peak memory", "Energy")

STATES = {"measured": "measured", "not_applicable": "NOT_APPLICABLE", "failed": "FAILED", "not_run": "not run"}


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """One contender in words and numbers, not yet escaped for any format."""

    name: str
    verdict: str
    job_speedup: str
    step_speedup: str
    em: str
    f1: str
    peak_memory: str
    energy: str

    def cells(self) -> tuple[str, ...]:
        """Return the values below `HEADERS`."""
        return (
            self.name, self.verdict, self.job_speedup, self.step_speedup, self.em, self.f1, self.peak_memory,
            self.energy,
        )  # fmt: skip


def verdict_rows(analysis: Analysis, *, ranges: bool = True) -> list[VerdictRow]:
    """Return a row for each contender, the baseline first; without ranges it takes less room."""
    return [verdict_row(contender, ranges=ranges) for contender in analysis.contenders]


def verdict_row(contender: ContenderAnalysis, *, ranges: bool = True) -> VerdictRow:
    """Return one row; a contender without a single whole job has no numbers."""
    if not contender.seeds:
        return VerdictRow(name=contender.name, verdict=verdict_words(contender), job_speedup=NONE, step_speedup=NONE,
                          em=NONE, f1=NONE, peak_memory=NONE, energy=NONE)  # fmt: skip
    alone = contender.is_baseline
    return VerdictRow(
        name=contender.name,
        verdict=verdict_words(contender),
        job_speedup=speedup(contender.job_speedup, ranges=ranges),
        step_speedup=speedup(contender.step_speedup, ranges=ranges),
        em=quality(contender.em, alone=alone, ranges=ranges),
        f1=quality(contender.f1, alone=alone, ranges=ranges),
        peak_memory=measured(contender.peak_memory_gib, "GiB"),
        energy=energy(contender.energy_j),
    )


def verdict_words(contender: ContenderAnalysis) -> str:
    """Return the verdict, or what stands in its place for now."""
    if contender.state != "measured":
        return STATES[contender.state]
    if contender.is_baseline:
        return "baseline"
    unequal = contender.work is not None and contender.work.differences
    return "measured, unequal work" if unequal else "measured"


def fastest(analysis: Analysis) -> ContenderAnalysis | None:
    """Return the measured contender with the best job speedup; those that did other work don't count."""
    candidates = [
        contender
        for contender in analysis.contenders
        if not contender.is_baseline
        and contender.state == "measured"
        and contender.job_speedup is not None
        and not (contender.work is not None and contender.work.differences)
    ]
    return max(candidates, key=_job_speedup, default=None)


def _job_speedup(contender: ContenderAnalysis) -> float:
    return 0.0 if contender.job_speedup is None else contender.job_speedup.estimate


def result_sentence(analysis: Analysis, code: Callable[[str], str] = "`{}`".format) -> str:
    """Say in one sentence what came out; `code` marks names up."""
    baseline = analysis.baseline_contender
    if not baseline.seeds:
        return "No speedups: there is no whole baseline job to compare with."
    best = fastest(analysis)
    if best is None:
        return _nothing_to_compare(analysis)
    spread = _spread_words(analysis, best)
    job = _job_speedup(best)
    if job <= 1.0:
        nearest = f"{code(best.name)}, job {times(job)} ({spread})"
        return f"No contender was faster than the baseline here; nearest: {nearest}."
    step = "" if best.step_speedup is None else f" and training {times(best.step_speedup.estimate)}"
    return f"Fastest: {code(best.name)}, job {times(job)}{step} as fast as the baseline, {_f1(best)} ({spread})."


def _nothing_to_compare(analysis: Analysis) -> str:
    if any(contender.state == "measured" for contender in analysis.contenders[1:]):
        return "No contender that did the same work as the baseline was measured, so none is named the fastest."
    return "Only the baseline was measured: no contender ended a whole fine-tuning."


def _f1(contender: ContenderAnalysis) -> str:
    if contender.f1 is None or contender.f1.difference is None:
        return "F1 not measured"
    change = signed(contender.f1.difference)
    if (contender.f1.difference, contender.f1.low, contender.f1.high) == (0.0, 0.0, 0.0):
        return "the same F1 on every question"
    if contender.f1.low is None or contender.f1.high is None:
        return f"F1 {change} points"
    return f"F1 {change} points with a 95 % interval of {signed(contender.f1.low)} to {signed(contender.f1.high)}"


def _spread_words(analysis: Analysis, contender: ContenderAnalysis) -> str:
    estimate = contender.job_speedup
    if estimate is None or estimate.low is None or estimate.high is None:
        return "one seed: no spread of the speedups"
    seeds = len(set(contender.seeds) & set(analysis.baseline_contender.seeds))
    return f"range of the job speedup over {seeds} seeds: {estimate.low:.2f} to {estimate.high:.2f}"


def unequal_work(analysis: Analysis) -> list[tuple[str, tuple[str, ...]]]:
    """Return the contenders that did other work than the baseline, with the differences in words."""
    return [
        (contender.name, contender.work.differences)
        for contender in analysis.contenders
        if contender.work is not None and contender.work.differences
    ]


def spread_notes(analysis: Analysis, *, ranges: bool = True) -> list[str]:
    """Say what the numbers and brackets of the table mean; `ranges` says whether the table holds ranges."""
    seeds = analysis.spread.seeds
    notes = [
        "Speedup = baseline time ÷ contender time, so above 1 is faster. Job: everything the user waits for, from the "
        "start of the process to the last byte saved. Step: the training time per epoch alone."
    ]
    if seeds <= 1:
        notes.append(
            "One seed: the job speedup has no spread, and what another seed would have given is in no interval."
        )
    if not ranges:
        notes.append("In brackets: the difference to the baseline in points. The ranges are in the report.")
    elif seeds <= 1:
        notes.append(
            "In brackets after a step speedup: the lowest and highest epoch (a range, not a confidence interval). "
            "After EM and F1: the difference to the baseline in points, then its 95 % interval over the questions "
            "(paired bootstrap)."
        )
    else:
        notes.append(
            f"In brackets after a speedup: the lowest and highest value seen, over {seeds} seeds for the job, over all "
            "pairs of seed and epoch for the step: ranges, not confidence intervals. After EM and F1: the difference "
            "to the baseline in points, then its 95 % interval over seeds and questions (paired bootstrap)."
        )
    number = "one seed is" if seeds <= 1 else f"{seeds} seeds alone are"
    notes.append(f"“measured” is not a verdict: {number} not enough, and the statistics for one are not there yet.")
    return notes
