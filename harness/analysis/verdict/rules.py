"""One verdict for each contender, with its reasons, from all the evidence there is (DESIGN §6)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.analysis.evidence.job import JobSpeed
from harness.analysis.evidence.quality import LEAST_SEEDS
from harness.analysis.evidence.time_to_quality import TimeToScore
from harness.analysis.evidence.work import NEW_SCHEDULE
from harness.analysis.verdict.claims import Claims, Evidence, is_sooner, p_faster, p_quality_holds, settle_claims
from harness.records.tolerances import FULL_PRECISION
from harness.statistics.noninferiority import NonInferiority
from harness.statistics.paired import Ratio, blocks_needed

Verdict = Literal[
    "ACCEPTED", "REJECTED", "NO_GAIN", "SLOWER", "INERT", "INCONCLUSIVE", "NOT_APPLICABLE", "FAILED"
]  # fmt: skip

WIDE = 0.05
"""Half width of the job speedup's interval, as a share, beyond which "no gain" may be "not measured well"."""

CLEAR_HALF_WIDTHS = 2.0
"""Half widths of its 95 % interval from the noise floor at which a speedup is beyond noise however many contenders
there are: its p-value is about 0.00005."""

JOBS_DISAGREE = 1.25
"""Factor between the jobs as they ran and the speedup put together from segments beyond which the two contradict."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict and why."""

    verdict: Verdict
    reasons: tuple[str, ...]


def judge_all(evidence: Mapping[str, Evidence], *, alpha: float) -> dict[str, Judgement]:
    """Return the verdict of each contender; the chance of accepting any that should not be is at most `alpha`."""
    claims = settle_claims(evidence, alpha=alpha)
    return {name: judge(item, claims[name]) for name, item in evidence.items()}


def judge(item: Evidence, claims: Claims) -> Judgement:
    """Return the verdict: what disqualifies comes first, then whether it does anything, then how well that is known."""
    rejected = _rejections(item, claims)
    if rejected:
        return Judgement(verdict="REJECTED", reasons=rejected)
    if item.footprint is not None and item.footprint.inert and not item.phases:
        return Judgement(
            verdict="INERT",
            reasons=(
                "it changed nothing that runs: the same operators, dtypes, weights' layout, host code and settings",
            ),
        )
    spoilt = _invalidity(item)
    if spoilt:
        return Judgement(verdict="INCONCLUSIVE", reasons=spoilt)
    return _judge_speed(item, claims)


def _rejections(item: Evidence, claims: Claims) -> tuple[str, ...]:
    claim = "the baseline's mathematics" + (" in a lower precision" if item.lowers_precision else "")
    found = [*item.fraud, *(f"it claims {claim}, but {problem}" for problem in _other_math(item))]
    if claims.worse and item.quality is not None:
        found += [
            f"{name} is worse: {value.difference:+.1f} points ({value.low:+.1f} to {value.high:+.1f}), "
            f"{value.margin:g} may be lost"
            for name, value in _by_title(item)
            if value.p_inferior == min(other.p_inferior for other in item.quality.values())
        ]
    return tuple(found)


def _other_math(item: Evidence) -> list[str]:
    """Return how the updates of one that claims the baseline's, in whatever precision, are not those."""
    if item.equivalence is None or not (item.same_math or item.lowers_precision):
        return []
    found = [] if item.equivalence.problem is None else [item.equivalence.problem]
    if item.lowers_precision:
        return found
    # The baseline may be a stack with a lower precision; what computes in the same one keeps its promise.
    if item.baseline_dtype is not None and item.equivalence.dtype not in (FULL_PRECISION, item.baseline_dtype):
        found.append(f"computes in {item.equivalence.dtype}")
    return found


def _invalidity(item: Evidence) -> tuple[str, ...]:
    """Return why there can't be any verdict: a check could not be made, or speed was not measured well enough."""
    if item.unchecked:
        return item.unchecked
    if item.seeds == 0:
        return ("no job of it has a baseline job of the same seed, so its work could not be compared",)
    if item.floor is None:
        return ("there is no A/A comparison of the baseline with itself, so no noise floor",)
    if item.speed is None:
        return ("its speed was not measured in segments",)
    if item.speed.training is None or item.speed.evaluation is None:
        why = "; ".join(item.speed.contamination) or "too few blocks"
        return (f"{item.speed.spoilt} of {item.speed.blocks} timed blocks are spoilt, also when measured again: {why}",)
    if item.job is None:
        return ("its whole job was not measured",)
    if item.job.contradictions:
        return (f"segments and jobs contradict each other: {'; '.join(item.job.contradictions)}",)
    as_run = item.job.as_run
    if as_run is not None:
        gap = as_run.estimate / item.job.ratio.estimate
        opposite = (as_run.estimate - 1.0) * (item.job.ratio.estimate - 1.0) < 0
        if opposite and not 1 / JOBS_DISAGREE <= gap <= JOBS_DISAGREE:
            return (
                f"segments and jobs contradict each other: {item.job.ratio.estimate:.2f}× by segments, "
                f"{as_run.estimate:.2f}× as the jobs ran",
            )
    return ()


def _judge_speed(item: Evidence, claims: Claims) -> Judgement:
    job = item.job
    if job is None:
        return Judgement(verdict="INCONCLUSIVE", reasons=("its whole job was not measured",))
    speed = f"job {_ratio_words(job.ratio)}, the noise floor is ±{job.floor:.1%}"
    if claims.accepted:
        return Judgement(verdict="ACCEPTED", reasons=(f"faster: {speed}", *_quality_words(item)))
    if claims.faster and p_quality_holds(item) <= p_faster(item):
        return _open_among_many(job, speed)
    if claims.faster:
        return Judgement(verdict="INCONCLUSIVE", reasons=(f"faster: {speed}", *_open_quality(item)))
    if claims.slower:
        return Judgement(verdict="SLOWER", reasons=(speed, *_break_even_hint(item)))
    half = math.log(job.ratio.high / job.ratio.low) / 2
    if half > math.log1p(max(WIDE, 3 * job.floor)):
        return Judgement(verdict="INCONCLUSIVE", reasons=(speed, _more_blocks(item)))
    if NEW_SCHEDULE in item.effects and job.ratio.low > 1 + job.floor and not is_sooner(item.time_to_score):
        return _judge_schedule(item.time_to_score, speed, item.scoring.headline_title)
    if max(job.ratio.low, 1 / job.ratio.high) > 1 + job.floor:
        return _open_among_many(job, speed)
    return Judgement(verdict="NO_GAIN", reasons=(f"within noise: {speed}",))


def _open_among_many(job: JobSpeed, speed: str) -> Judgement:
    """Return the verdict on a speed that would be beyond noise if there were no other contenders."""
    distance = abs(math.log(job.ratio.estimate)) - math.log1p(job.floor)
    needed = blocks_needed(job.ratio, math.expm1(distance / CLEAR_HALF_WIDTHS))
    return Judgement(
        verdict="INCONCLUSIVE",
        reasons=(speed, f"not yet beyond noise with so many contenders: {_too_little_words(needed)}"),
    )


def _judge_schedule(time: TimeToScore | None, speed: str, title: str) -> Judgement:
    """Return the verdict on a new schedule whose job is faster, but which is not as good any sooner."""
    if time is None or (time.contender_s is not None and time.speedup is None):
        return Judgement(
            verdict="INCONCLUSIVE", reasons=(speed, f"when it reaches the baseline's {title} was not measured")
        )
    return Judgement(verdict="NO_GAIN", reasons=(speed, _too_late(time, title)))


def _ratio_words(ratio: Ratio) -> str:
    return f"{ratio.estimate:.3f}× ({ratio.low:.3f} to {ratio.high:.3f})"


def _quality_words(item: Evidence) -> tuple[str, ...]:
    if item.equivalence is not None and item.shown_same:
        worst = item.equivalence.worst
        error = 0.0 if worst is None or worst.gradient is None else worst.gradient
        return (
            f"quality holds by equivalence: losses, gradients and updates are the reference's within the tolerance of "
            f"{item.equivalence.dtype} (worst tensor {error:.1g}, allowed {item.equivalence.tolerance:.0e})",
        )
    if item.quality is None:
        return ()
    return (
        "quality holds: "
        + ", ".join(
            f"{name} {value.difference:+.1f} points, at worst {value.bound:+.1f} (margin {value.margin:g})"
            for name, value in _by_title(item)
        ),
        *_within_tolerance(item),
    )


def _open_quality(item: Evidence) -> tuple[str, ...]:
    """Return why quality is not shown, and what would settle it."""
    if item.quality is None:
        return (f"{item.scoring.titles} were not measured on the same questions and seeds",)
    if item.learning is None or item.learning.vacuous:
        reason = None if item.learning is None else item.learning.reason
        return (f"quality can't be judged: {reason or 'the untrained model was not scored'}",)
    name, worst = max(_by_title(item), key=lambda pair: pair[1].p_value)
    words = (
        f"quality is open: {name} {worst.difference:+.1f} points, at worst {worst.bound:+.1f}, and only "
        f"{worst.margin:g} may be lost; this size could certify {worst.detectable_loss:.1f} points at best"
    )
    return (words, *_needed_words(worst, item.seeds), *_within_tolerance(item))


def _by_title(item: Evidence) -> list[tuple[str, NonInferiority]]:
    """Return the evidence on each score, under its title."""
    quality = item.quality or {}
    return [(metric.title, quality[metric.name]) for metric in item.scoring.metrics if metric.name in quality]


def _within_tolerance(item: Evidence) -> tuple[str, ...]:
    """Say what the check of a lower precision found: it could have refuted the claim, but proves nothing."""
    check = item.equivalence
    if not item.lowers_precision or check is None or not check.holds:
        return ()
    worst = check.worst
    of_which = ""
    if worst is not None and worst.gradient is not None:
        of_which = f" (worst tensor {worst.name}: {worst.gradient:.1g}, allowed {check.tolerance:.0e})"
    return (
        f"some updates are the reference's within the tolerance of {check.tolerance_dtype}{of_which}, which alone does "
        "not show that quality holds",
    )


def _needed_words(value: NonInferiority, seeds: int) -> tuple[str, ...]:
    ways = []
    if value.examples_needed is not None and value.examples_needed > value.examples:
        ways.append(f"about {value.examples_needed:,} questions")
    if value.seeds_needed is not None and value.seeds_needed > seeds:
        ways.append(f"about {value.seeds_needed:,} seeds")
    more = f"at least {LEAST_SEEDS} seeds and " if seeds < LEAST_SEEDS else ""
    if not ways and not more:
        return ()
    return (f"to settle it: {more}{' or '.join(ways) if ways else 'the same questions'}, if nothing is really lost",)


def _more_blocks(item: Evidence) -> str:
    training = None if item.speed is None else item.speed.training
    if training is None:
        return "too little evidence"
    return _too_little_words(blocks_needed(training, WIDE / 2))


def _too_little_words(blocks: int) -> str:
    return f"too little evidence: about {blocks} blocks would settle it (--budget)"


def _break_even_hint(item: Evidence) -> tuple[str, ...]:
    training = None if item.speed is None else item.speed.training
    if training is None or training.low <= 1.0:
        return ()
    return (f"its steps alone are {_ratio_words(training)}: this job is too short to earn its warm-up back",)


def _too_late(time: TimeToScore, title: str) -> str:
    if time.contender_s is None:
        return f"it does not reach the baseline's {title} with every seed, so its faster epochs gain nothing"
    return f"it reaches the baseline's {title} no sooner: {time.contender_s:.1f} s"
