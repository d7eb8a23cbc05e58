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
    """Return the verdict, or what stands in its place."""
    if contender.is_baseline and contender.state == "measured":
        return "baseline"
    words = contender.verdict or STATES[contender.state]
    return f"{words} (peer)" if is_peer(contender) else words


def is_peer(contender: ContenderAnalysis) -> bool:
    """Whether it is another program, shown to compare with and never recommended."""
    return any(part.is_peer for part in contender.strategies)


def accepted_strategies(analysis: Analysis) -> list[ContenderAnalysis]:
    """Return the accepted contenders, peers left out."""
    return [other for other in analysis.contenders if other.verdict == "ACCEPTED" and not is_peer(other)]


def best_accepted(analysis: Analysis) -> ContenderAnalysis | None:
    """Return the accepted contender with the best job speedup."""
    return max(accepted_strategies(analysis), key=_job_speedup, default=None)


def _job_speedup(contender: ContenderAnalysis) -> float:
    return 0.0 if contender.job_speedup is None else contender.job_speedup.estimate


def result_sentence(analysis: Analysis, code: Callable[[str], str] = "`{}`".format) -> str:
    """Say in a sentence or two what came out; `code` marks names up."""
    if not analysis.baseline_contender.seeds:
        return "No speedups: there is no whole baseline job to compare with."
    contenders = analysis.contenders[1:]
    if not any(contender.state == "measured" for contender in contenders):
        return "Only the baseline was measured: no contender ended a whole fine-tuning."
    best = best_accepted(analysis)
    if best is None:
        return f"Nothing is accepted. {_tally(analysis, code)}"
    step = "" if best.step_speedup is None else f", its steps {times(best.step_speedup.estimate)}"
    judged = sum(not is_peer(contender) for contender in contenders)
    accepted = len(accepted_strategies(analysis))
    return (
        f"{accepted} of {judged} accepted. Best: {code(best.name)}, job {_interval(best)}{step}, "
        f"{_quality_words(best)}. {_tally(analysis, code, leave_out='ACCEPTED')}".rstrip()
    )


def _interval(contender: ContenderAnalysis) -> str:
    estimate = contender.job_speedup
    if estimate is None:
        return "not measured"
    if estimate.low is None or estimate.high is None:
        return times(estimate.estimate)
    return f"{times(estimate.estimate)} ({estimate.low:.2f} to {estimate.high:.2f} with 95 % confidence)"


def _quality_words(contender: ContenderAnalysis) -> str:
    if contender.equivalence is not None and contender.equivalence.holds and _same_math(contender):
        return "quality holds by equivalence"
    if contender.f1 is None or contender.f1.difference is None:
        return "F1 not measured"
    change = signed(contender.f1.difference)
    if contender.f1.low is None or contender.f1.high is None:
        return f"F1 {change} points"
    return f"F1 {change} points ({signed(contender.f1.low)} to {signed(contender.f1.high)})"


def _same_math(contender: ContenderAnalysis) -> bool:
    return bool(contender.strategies) and all(part.effect == "SAME_MATH" for part in contender.strategies)


def _tally(analysis: Analysis, code: Callable[[str], str], leave_out: str = "") -> str:
    """Return the other verdicts with the contenders that got them."""
    groups: dict[str, list[str]] = {}
    for contender in analysis.contenders[1:]:
        groups.setdefault(verdict_words(contender), []).append(code(contender.name))
    parts = [f"{verdict}: {', '.join(names)}" for verdict, names in groups.items() if verdict != leave_out]
    return f"{'; '.join(parts)}." if parts else ""


def spread_notes(analysis: Analysis, *, ranges: bool = True) -> list[str]:
    """Say what the numbers and brackets of the table mean; `ranges` says whether the table holds ranges."""
    notes = [
        "Speedup = baseline time ÷ contender time, so above 1 is faster. Job: everything the user waits for, from the "
        "start of the process to the last byte saved, with a cold compile. Step: training alone."
    ]
    notes.append(_noise_words(analysis))
    if not ranges:
        notes.append("In brackets: the difference to the baseline in points. The intervals are in the report.")
        return notes
    over = "seeds and questions" if analysis.seeds > 1 else "questions; what another seed would give is not in it"
    notes.append(
        "In brackets after a speedup: its 95 % interval. After EM and F1: the difference to the baseline in points, "
        f"then its 95 % interval over {over}."
    )
    if any(_is_range(contender) for contender in analysis.contenders):
        notes.append(
            "Without timed segments a speedup's brackets hold the lowest and highest value seen instead: a range over "
            "seeds, or over epochs."
        )
    return notes


def _noise_words(analysis: Analysis) -> str:
    floor = analysis.noise_floor
    if floor is None:
        return "The baseline was not timed against itself (A/A), so there is no noise floor and no verdict on speed."
    ratio = floor.ratio
    return (
        f"Noise floor: the baseline against itself (A/A) came out at {ratio.estimate:.3f}× ({ratio.low:.3f} to "
        f"{ratio.high:.3f}); no step speedup within ±{100 * floor.floor:.1f} % is claimed."
    )


def _is_range(contender: ContenderAnalysis) -> bool:
    estimates = (contender.job_speedup, contender.step_speedup)
    return any(value is not None and value.low is not None and value.kind == "range" for value in estimates)
