"""What rules say, in words."""

from __future__ import annotations

from collections.abc import Mapping

from harness.analysis.evidence.gather import Case
from harness.analysis.evidence.job import JobSpeed
from harness.analysis.evidence.quality import LEAST_SEEDS
from harness.analysis.verdict.reason import Words
from harness.records.trial import MetricRecord
from harness.statistics.noninferiority import NonInferiority
from harness.statistics.paired import Ratio


def ratio_words(ratio: Ratio) -> str:
    """Return a ratio with its interval."""
    return f"{ratio.estimate:.3f}× ({ratio.low:.3f} to {ratio.high:.3f})"


def speed_words(job: JobSpeed, before: str = "") -> Words:
    """Return the job's speedup beside the noise floor."""
    ratio = job.ratio
    return Words(
        f"{before}job {ratio_words(ratio)}, the noise floor is ±{job.floor:.1%}",
        {"job_speedup": ratio.estimate, "low": ratio.low, "high": ratio.high, "noise_floor": job.floor},
    )


def blocks_words(blocks: int) -> Words:
    """Say how many blocks would be enough."""
    return Words(f"too little evidence: about {blocks} blocks would settle it (--budget)", {"blocks": blocks})


def quality_words(case: Case) -> list[Words]:
    """Say why quality holds."""
    evidence = case.evidence
    if evidence.equivalence is not None and evidence.shown_same:
        check, worst = evidence.equivalence, evidence.equivalence.worst
        error = 0.0 if worst is None or worst.gradient is None else worst.gradient
        text = (
            f"quality holds by equivalence: losses, gradients and updates are the reference's within the tolerance of "
            f"{check.dtype} (worst tensor {error:.1g}, allowed {check.tolerance:.0e})"
        )
        return [Words(text, {"error": error, "tolerance": check.tolerance})]
    if evidence.quality is None:
        return []
    scores = scores_of(case)
    held = (
        f"{metric.title} {value.difference:+.1f} points, at worst {value.bound:+.1f} (margin {value.margin:g})"
        for metric, value in scores.items()
    )
    return [Words(f"quality holds: {', '.join(held)}", score_numbers(scores)), *_tolerance_words(case)]


def open_quality_words(case: Case) -> list[Words]:
    """Say why quality is not shown, and what would settle it."""
    scoring, learning = case.reference.run.scoring, case.reference.learning
    if case.evidence.quality is None:
        return [Words(f"{scoring.titles} were not measured on the same {scoring.examples} and seeds")]
    if learning is None or learning.vacuous:
        reason = None if learning is None else learning.reason
        return [Words(f"quality can't be judged: {reason or 'the untrained model was not scored'}")]
    metric, worst = max(scores_of(case).items(), key=lambda pair: pair[1].p_value)
    text = (
        f"quality is open: {metric.title} {worst.difference:+.1f} points, at worst {worst.bound:+.1f}, and only "
        f"{worst.margin:g} may be lost; this size could certify {worst.detectable_loss:.1f} points at best"
    )
    numbers = score_numbers({metric: worst}) | {"detectable_loss": worst.detectable_loss}
    seeds = case.evidence.pairs
    needed = {scoring.examples: (worst.examples_needed, worst.examples), "seeds": (worst.seeds_needed, seeds)}
    more = {name: float(number) for name, (number, here) in needed.items() if number is not None and number > here}
    ways = " or ".join(f"about {number:,.0f} {name}" for name, number in more.items())
    least = f"at least {LEAST_SEEDS} seeds and " if seeds < LEAST_SEEDS else ""
    settle = Words(f"to settle it: {least}{ways or f'the same {scoring.examples}'}, if nothing is really lost", more)
    return [Words(text, numbers), *([settle] if ways or least else []), *_tolerance_words(case)]


def scores_of(case: Case) -> dict[MetricRecord, NonInferiority]:
    """Return the evidence on each score."""
    quality = case.evidence.quality or {}
    return {metric: quality[metric.name] for metric in case.reference.run.scoring.metrics if metric.name in quality}


def score_numbers(scores: Mapping[MetricRecord, NonInferiority]) -> dict[str, float]:
    """Return the numbers that are told of scores."""
    return {
        f"{metric.name}_{name}": getattr(value, name)
        for metric, value in scores.items()
        for name in ("difference", "low", "high", "bound", "margin")
    }


def _tolerance_words(case: Case) -> list[Words]:
    """Say what the check of a lower precision found: it could have refuted the claim, but proves nothing."""
    check = case.evidence.equivalence
    if not case.evidence.lowers_precision or check is None or not check.holds:
        return []
    worst, of_which, numbers = check.worst, "", {"tolerance": check.tolerance}
    if worst is not None and worst.gradient is not None:
        of_which = f" (worst tensor {worst.name}: {worst.gradient:.1g}, allowed {check.tolerance:.0e})"
        numbers["error"] = worst.gradient
    text = (
        f"some updates are the reference's within the tolerance of {check.tolerance_dtype}{of_which}, which alone does "
        "not show that quality holds"
    )
    return [Words(text, numbers)]
