"""One verdict for each contender, with its reasons, from all the evidence there is (DESIGN §6)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.analysis.multiple import holm, intersection_union
from harness.analysis.noninferiority import NonInferiority
from harness.analysis.paired import Ratio, blocks_needed, p_not_above, p_not_below
from harness.analysis.quality import LEAST_SEEDS, Learning, QualityEvidence
from harness.analysis.sameness import Equivalence, FootprintDifference
from harness.analysis.speed import JobSpeed, NoiseFloor, SpeedEvidence
from harness.analysis.time_to_quality import TimeToF1
from harness.analysis.work import NEW_SCHEDULE

Verdict = Literal[
    "ACCEPTED", "REJECTED", "NO_GAIN", "SLOWER", "INERT", "INCONCLUSIVE", "NOT_APPLICABLE", "FAILED"
]  # fmt: skip

SAME_MATH = "SAME_MATH"
"""The effect of strategies whose updates are the baseline's up to rounding (`harness.strategy.Effect`, by name)."""

WIDE = 0.05
"""Half width of the job speedup's interval, as a share, beyond which "no gain" may be "not measured well"."""

COLLAPSE_SHARE = 0.5
"""Share of the baseline's gain over the untrained model whose loss even one seed shows."""

JOBS_DISAGREE = 1.25
"""Factor between the jobs as they ran and the speedup put together from segments beyond which the two contradict."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that bears on the verdict of one contender that was measured."""

    effects: tuple[str, ...]
    """Of its strategies."""
    fraud: tuple[str, ...]
    """What disqualifies it, in words: unequal work, scores that are not the model's, a clock that runs wrong."""
    speed: SpeedEvidence | None
    job: JobSpeed | None
    floor: NoiseFloor | None
    time_to_f1: TimeToF1 | None
    equivalence: Equivalence | None
    footprint: FootprintDifference | None
    quality: QualityEvidence | None
    learning: Learning | None
    seeds: int
    unchecked: tuple[str, ...] = ()
    """Checks that could not be made, in words."""
    phases: tuple[str, ...] = ()
    """Outside training and evaluation: what it declares to change."""

    @property
    def same_math(self) -> bool:
        """Whether every part claims to make the baseline's updates."""
        return bool(self.effects) and all(effect == SAME_MATH for effect in self.effects)


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict and why."""

    verdict: Verdict
    reasons: tuple[str, ...]


def judge_all(evidence: Mapping[str, Evidence], *, alpha: float) -> dict[str, Judgement]:
    """Return the verdict of each contender.

    An acceptance claims "faster, and no worse": each part must be shown (intersection-union, Berger 1982), and
    over all contenders together the chance of a false acceptance is at most `alpha` (Holm 1979); likewise for the
    claims "slower" and "worse".
    """
    faster = holm({name: p_faster(item) for name, item in evidence.items()})
    accepted = holm(
        {name: intersection_union([p_faster(item), p_quality_holds(item)]) for name, item in evidence.items()}
    )
    slower = holm({name: p_slower(item) for name, item in evidence.items()})
    worse = holm({name: p_worse(item) for name, item in evidence.items()})
    return {
        name: judge(
            item,
            Claims(
                faster=faster[name] < alpha,
                accepted=accepted[name] < alpha,
                slower=slower[name] < alpha,
                worse=worse[name] < alpha,
            ),
        )
        for name, item in evidence.items()
    }


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What is shown, corrected for the number of contenders."""

    faster: bool
    accepted: bool
    slower: bool
    worse: bool


def p_faster(item: Evidence) -> float:
    """Return the p-value of "the job is not faster than the noise floor allows"; 1 without evidence.

    A new schedule must also reach the baseline's F1 sooner.
    """
    if item.job is None:
        return 1.0
    if NEW_SCHEDULE in item.effects and not _sooner(item.time_to_f1):
        return 1.0
    return p_not_above(item.job.ratio, 1.0 + item.job.floor)


def _sooner(time: TimeToF1 | None) -> bool:
    return time is not None and time.speedup is not None and time.speedup > 1.0


def p_slower(item: Evidence) -> float:
    """Return the p-value of "the job is not slower than the noise floor allows"; 1 without evidence."""
    return 1.0 if item.job is None else p_not_below(item.job.ratio, 1.0 / (1.0 + item.job.floor))


def p_quality_holds(item: Evidence) -> float:
    """Return 0 if equivalence is shown, else the p-value of "EM or F1 is worse by the margin"; 1 if nobody can tell."""
    if item.same_math and item.equivalence is not None and item.equivalence.holds:
        return 0.0
    if item.quality is None or item.learning is None or item.learning.vacuous or item.seeds < LEAST_SEEDS:
        return 1.0
    return intersection_union([item.quality.em.p_value, item.quality.f1.p_value])


def p_worse(item: Evidence) -> float:
    """Return the p-value of "neither EM nor F1 is worse by the margin", Bonferroni over the two; 1 without evidence.

    One seed is not evidence, as another may train to some points more or less, unless half of what the baseline had
    learned is lost.
    """
    if item.quality is None:
        return 1.0
    if item.seeds < LEAST_SEEDS:
        gain = item.learning.gain_f1 if item.learning is not None and not item.learning.vacuous else math.inf
        return item.quality.f1.p_inferior if item.quality.f1.high < -COLLAPSE_SHARE * gain else 1.0
    return min(1.0, 2.0 * min(item.quality.em.p_inferior, item.quality.f1.p_inferior))


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
    found = list(item.fraud)
    if item.same_math and item.equivalence is not None and item.equivalence.problem is not None:
        found.append(f"it claims the baseline's mathematics, but {item.equivalence.problem}")
    if claims.worse and item.quality is not None:
        found += [
            f"{name} is worse: {value.difference:+.1f} points ({value.low:+.1f} to {value.high:+.1f}), "
            f"{value.margin:g} may be lost"
            for name, value in (("EM", item.quality.em), ("F1", item.quality.f1))
            if value.p_inferior == min(item.quality.em.p_inferior, item.quality.f1.p_inferior)
        ]
    return tuple(found)


def _invalidity(item: Evidence) -> tuple[str, ...]:
    """Return why speed was not measured well enough for any verdict on it."""
    if item.floor is None:
        return ("there is no A/A comparison of the baseline with itself, so no noise floor",)
    if item.speed is None:
        return ("its speed was not measured in segments",)
    if item.speed.training is None or item.speed.evaluation is None:
        why = "; ".join(item.speed.contamination) or "too few blocks"
        return (f"{item.speed.spoilt} of {item.speed.blocks} timed blocks are spoilt, also when measured again: {why}",)
    if item.job is None:
        return ("its whole job was not measured",)
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
    if claims.faster:
        return Judgement(verdict="INCONCLUSIVE", reasons=(f"faster: {speed}", *_open_quality(item)))
    if claims.slower:
        return Judgement(verdict="SLOWER", reasons=(speed, *_break_even_hint(item)))
    half = math.log(job.ratio.high / job.ratio.low) / 2
    if half > math.log1p(max(WIDE, 3 * job.floor)):
        return Judgement(verdict="INCONCLUSIVE", reasons=(speed, _more_blocks(item)))
    if NEW_SCHEDULE in item.effects and job.ratio.low > 1 + job.floor:
        return Judgement(verdict="NO_GAIN", reasons=(speed, _too_late(item.time_to_f1)))
    return Judgement(verdict="NO_GAIN", reasons=(f"within noise: {speed}",))


def _ratio_words(ratio: Ratio) -> str:
    return f"{ratio.estimate:.3f}× ({ratio.low:.3f} to {ratio.high:.3f})"


def _quality_words(item: Evidence) -> tuple[str, ...]:
    if item.same_math and item.equivalence is not None and item.equivalence.holds:
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
            for name, value in (("EM", item.quality.em), ("F1", item.quality.f1))
        ),
    )


def _open_quality(item: Evidence) -> tuple[str, ...]:
    """Return why quality is not shown, and what would settle it."""
    if item.quality is None:
        return ("EM and F1 were not measured on the same questions and seeds",)
    if item.learning is None or item.learning.vacuous:
        reason = None if item.learning is None else item.learning.reason
        return (f"quality can't be judged: {reason or 'the untrained model was not scored'}",)
    values = (("EM", item.quality.em), ("F1", item.quality.f1))
    name, worst = max(values, key=lambda pair: pair[1].p_value)
    words = (
        f"quality is open: {name} {worst.difference:+.1f} points, at worst {worst.bound:+.1f}, and only "
        f"{worst.margin:g} may be lost; this size could certify {worst.detectable_loss:.1f} points at best"
    )
    return (words, *_needed_words(worst, item.seeds))


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
    return f"too little evidence: about {blocks_needed(training, WIDE / 2)} blocks would settle it (--budget)"


def _break_even_hint(item: Evidence) -> tuple[str, ...]:
    training = None if item.speed is None else item.speed.training
    if training is None or training.low <= 1.0:
        return ()
    return (f"its steps alone are {_ratio_words(training)}: this job is too short to earn its warm-up back",)


def _too_late(time: TimeToF1 | None) -> str:
    if time is None or time.contender_s is None:
        return "it does not reach the baseline's F1 with every seed, so its faster epochs gain nothing"
    return f"it reaches the baseline's F1 no sooner: {time.contender_s:.1f} s"
