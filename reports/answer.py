"""The answer above everything else: what to switch on, what is open, and what not to bother with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from harness.statistics.estimate import supported_digits
from reports.document import Text, code, joined, listed, spans
from reports.formatting import count, points, speedup
from reports.select import job_speedup_or_0
from reports.verdicts import quality_words, verdict_words

if TYPE_CHECKING:
    from harness.analysis.model import Analysis, ContenderAnalysis

TOLD_STEPS = 1_000
"""Length of the other job that the answer tells, in steps."""

OPEN_VERDICTS = ("FASTER", "UNCLEAR", "NOT_MEASURED")
"""After which there may still be something to switch on."""

TALLY = {
    "REJECTED": "Rejected",
    "INERT": "Changes nothing that runs",
    "NOT_MEASURED": "Not measured",
    "NOT_APPLICABLE": "Does not apply here",
    "FAILED": "Failed",
}
"""Verdicts that need no more words, in this order."""


def result_sentence(analysis: Analysis, mark: Callable[[str], str] = "`{}`".format) -> str:
    """Return the answer as plain text; `mark` marks names up."""
    return "".join(mark(span.text) if span.kind == "code" else span.text for span in spans(result_text(analysis)))


def result_text(analysis: Analysis) -> Text:
    """Return the answer: every contender is in it once."""
    if analysis.baseline_contender.evidence is None:
        return "No speedups: there is no whole baseline job to compare with."
    contenders = analysis.contenders[1:]
    if not any(contender.state == "measured" for contender in contenders):
        return "Only the baseline was measured: no contender ended a whole fine-tuning."
    own = [contender for contender in contenders if not contender.is_peer]
    sentences = [*_accepted(analysis, own), *_others(analysis, own), *_peers(contenders)]
    return joined(sentences, " ")


def _by_verdict(contenders: Sequence[ContenderAnalysis], verdict: str) -> list[ContenderAnalysis]:
    """Return those with this verdict, the fastest first."""
    return sorted((c for c in contenders if c.verdict == verdict), key=job_speedup_or_0, reverse=True)


def _accepted(analysis: Analysis, contenders: Sequence[ContenderAnalysis]) -> Iterator[Text]:
    accepted = _by_verdict(contenders, "ACCEPTED")
    if not accepted:
        may_come = any(contender.verdict in OPEN_VERDICTS for contender in contenders)
        yield "Switch on nothing yet." if may_come else "Switch on nothing."
        return
    best, *others = accepted
    facts = [f"job {speedup(best.job_speedup)}", _step(best), _kept(analysis, best)]
    yield ("Switch on ", code(best.name), f": {', '.join(fact for fact in facts if fact)}{_expected(best)}.")
    if others:
        yield ("Accepted too: ", listed([(code(one.name), f" ({_both(one)})") for one in others]), ".")


def _others(analysis: Analysis, contenders: Sequence[ContenderAnalysis]) -> Iterator[Text]:
    faster, unclear = _by_verdict(contenders, "FASTER"), _by_verdict(contenders, "UNCLEAR")
    if faster:
        yield (
            listed([(code(one.name), f" ({_both(one)})") for one in faster]),
            f" {_is(faster)} faster, quality open.",
        )
    if unclear:
        yield (listed([(code(one.name), f" (job {_ends(one)})") for one in unclear]), f" {_is(unclear)} unclear.")
    if small := _by_verdict(contenders, "NO_GAIN"):
        gains = "gains" if len(small) == 1 else "gain"
        worth = f"{100.0 * analysis.run.config.get('worth', 0.0):g} %"
        yield (listed([code(one.name) for one in small]), f" {gains} less than {worth}.")
    for one in _by_verdict(contenders, "SLOWER"):
        yield (code(one.name), f" {_slower(one)} (job {speedup(one.job_speedup, ranges=False)}).")
    for verdict, words in TALLY.items():
        if found := _by_verdict(contenders, verdict):
            yield (f"{words}: ", listed([code(one.name) for one in found]), ".")


def _peers(contenders: Sequence[ContenderAnalysis]) -> Iterator[Text]:
    for peer in (contender for contender in contenders if contender.is_peer):
        fast = "" if peer.job_speedup is None else f", job {speedup(peer.job_speedup, ranges=False)}"
        yield ("To compare with: ", code(peer.name), f" {verdict_words(peer)}{fast}.")


def _slower(contender: ContenderAnalysis) -> str:
    cost = None if contender.evidence is None else contender.evidence.warm_up
    if cost is None or not cost.compiles:
        return "is slower"
    step = contender.step_speedup
    if cost.break_even_steps is None or (step is not None and step.high is not None and step.high <= 1.0):
        return "never pays back"
    if step is None or step.low is None or step.low <= 1.0:
        return "is not shown ever to pay back"
    return f"pays back only after {count(cost.break_even_steps)} steps"


def _both(contender: ContenderAnalysis) -> str:
    step = _step(contender)
    return f"job {speedup(contender.job_speedup, ranges=False)}{f', {step}' if step else ''}"


def _ends(contender: ContenderAnalysis) -> str:
    """Return the ends of the job's interval: what lies between them is not told apart."""
    job = contender.job_speedup
    if job is None or job.low is None or job.high is None:
        return speedup(job)
    digits = supported_digits(job.low, job.high, least=1)
    return f"{job.low:.{digits}f}× to {job.high:.{digits}f}×"


def _step(contender: ContenderAnalysis) -> str:
    step = contender.step_speedup
    return "" if step is None else f"step {speedup(step, ranges=False)}"


def _kept(analysis: Analysis, contender: ContenderAnalysis) -> str:
    """Say why quality is kept."""
    score, scoring = contender.scores.get(analysis.scoring.headline), analysis.scoring
    if contender.quality == "SAME":
        return quality_words(contender)
    if score is None or score.difference is None:
        return f"{scoring.titles} within the margin"
    return f"{scoring.headline_title} {points(score.difference, score.low, score.high)} points"


def _expected(contender: ContenderAnalysis) -> str:
    jobs = () if contender.evidence is None else contender.evidence.expected
    told = next((job for job in jobs if job.steps == TOLD_STEPS), None)
    if told is None:
        return ""
    return f"; in a job of {count(told.steps)} steps {speedup(told.speedup, ranges=False)} is to be expected"


def _is(contenders: Sequence[ContenderAnalysis]) -> str:
    return "is" if len(contenders) == 1 else "are"
