"""What rules say, in words."""

from __future__ import annotations

from collections.abc import Mapping

from harness.analysis.evidence.audits import AuditEvidence, detection
from harness.analysis.evidence.gather import Case
from harness.analysis.evidence.perturbation import Perturbation
from harness.analysis.verdict.claims import BeyondNoise, Claims, misses_score, unchecked
from harness.analysis.verdict.reason import Words
from harness.analysis.verdict.settle import settle_quality
from harness.records.trial import MetricRecord
from harness.statistics.estimate import ratio_words
from harness.statistics.noninferiority import NonInferiority


def speed_words(noise: BeyondNoise, before: str = "") -> Words:
    """Return the job's speedup, rounded as reports round it."""
    job, ratio = noise.job, noise.job.ratio
    return Words(
        f"{before}job {ratio_words(ratio.estimate, ratio.low, ratio.high)}",
        {"job_speedup": ratio.estimate, "low": ratio.low, "high": ratio.high, "noise_floor": job.floor,
         "worth": noise.worth},
    )  # fmt: skip


def unclear_words(noise: BeyondNoise) -> Words:
    """Return the job's speedup, and beyond what its interval does not lie."""
    speed = speed_words(noise)
    ends = f"neither shown to be faster or slower by more than {percent_words(noise.job.floor)}"
    return Words(f"{speed.text}, {ends} nor to gain less than {percent_words(noise.worth)} (--worth)", speed.numbers)


def no_gain_words(noise: BeyondNoise) -> Words:
    """Return the job's speedup, and that there is nothing to have."""
    speed = speed_words(noise)
    return Words(f"{speed.text}: shown to gain less than {percent_words(noise.worth)} (--worth)", speed.numbers)


def percent_words(share: float) -> str:
    """Return a share with the digit that thresholds need."""
    return f"{100.0 * share:.1f}".removesuffix(".0") + " %"


def signed_words(points: float) -> str:
    """Return points with their sign, a true minus."""
    return f"{points:+.1f}".replace("-", "−")


def quality_words(case: Case) -> list[Words]:
    """Say why quality holds."""
    evidence = case.evidence
    if evidence.rounds_within_noise and evidence.lowers_precision and evidence.perturbation is not None:
        return [_rounding_words(evidence.perturbation), _change_words(case)]
    if evidence.equivalence is not None and evidence.shown_same:
        check, worst = evidence.equivalence, evidence.equivalence.worst
        error = 0.0 if worst is None or worst.gradient is None else worst.gradient
        text = (
            f"quality holds by equivalence: losses, gradients and updates are the reference's within the tolerance of "
            f"{check.dtype} (worst tensor {error:.1g}, allowed {check.tolerance:.0e})"
        )
        return [Words(text, {"error": error, "tolerance": check.tolerance}), _audit_words(evidence.audits)]
    if evidence.quality is None:
        return []
    scores = scores_of(case)
    held = (
        f"{metric.title} {signed_words(value.difference)} points, at worst {signed_words(value.bound)} "
        f"(margin {value.margin:g})"
        for metric, value in scores.items()
    )
    return [Words(f"quality holds: {', '.join(held)}", score_numbers(scores)), *_tolerance_words(case)]


def _rounding_words(found: Perturbation) -> Words:
    """Say how small the rounding is beside the noise of training."""
    rounding = found.rounding
    typical, worst, drift = (value or 0.0 for value in (rounding.typical, rounding.worst, rounding.drift))
    text = (
        f"quality is the same: its rounding is {percent_words(typical)} of the noise that training has in any case, at "
        f"worst {percent_words(worst)} ({rounding.worst_tensor}, over {found.audits} audited steps; "
        f"allowed {percent_words(found.share)}); what it has in common over the job adds up to no more than "
        f"{percent_words(drift)} of what the noise does"
    )
    return Words(text, {"typical": typical, "worst": worst, "allowed": found.share, "drift": drift})


def _change_words(case: Case) -> Words:
    """Say that the scores show no loss beyond chance."""
    scores = scores_of(case)
    changes = (f"{metric.title} {signed_words(value.difference)} points" for metric, value in scores.items())
    return Words(f"no score shows a loss beyond chance: {', '.join(changes)}", score_numbers(scores))


def _audit_words(audits: AuditEvidence | None) -> Words:
    """Say how far a proof by some updates reaches into the job."""
    if audits is None:
        return Words("none of its later steps were audited, so what begins after these updates would not be seen")
    numbers = {"audits": audits.audits, "detected_2_percent": detection(0.02, audits.audits)}
    return Words(
        f"{audits.audits} steps drawn from its jobs and segments are the reference's too, replayed from the state that "
        "each began with",
        numbers,
    )


def open_quality_words(case: Case, claims: Claims) -> list[Words]:
    """Say why quality is not shown, and what would settle it."""
    if problems := unchecked(case):
        return [Words(f"quality is open: {problem}") for problem in problems]
    audits = case.evidence.audits
    if case.evidence.same_math and audits is not None and audits.unmade is not None:
        return [Words(f"quality is open: its steps could not be audited: {audits.unmade}")]
    scoring, learning = case.reference.run.scoring, case.reference.learning
    if case.evidence.quality is None:
        return [Words(f"quality is open: {scoring.titles} were not measured on the same {scoring.examples} and seeds")]
    if learning is None or learning.vacuous:
        reason = None if learning is None else learning.reason
        return [Words(f"quality is open: {reason or 'the untrained model was not scored'}")]
    if (missed := misses_score(case)) is not None:
        return [Words(f"quality is open: {missed}")]
    metric, worst = max(scores_of(case).items(), key=lambda pair: pair[1].p_value)
    bound = f"{signed_words(worst.difference)} points, at worst {signed_words(worst.bound)}"
    text = (
        f"quality is open: {metric.title} {bound}, and only {worst.margin:g} may be lost; this size could certify "
        f"{worst.detectable_loss:.1f} points at best"
    )
    numbers = score_numbers({metric: worst}) | {"detectable_loss": worst.detectable_loss}
    return [Words(text, numbers), *settle_quality(case, claims, worst), *_tolerance_words(case)]


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
