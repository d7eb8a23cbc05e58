"""The evidence on one contender, and what can be claimed from it: p-values, corrected for the number of contenders."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.analysis.evidence.job import JobSpeed
from harness.analysis.evidence.quality import LEAST_SEEDS, Learning, QualityEvidence
from harness.analysis.evidence.sameness import Equivalence, FootprintDifference
from harness.analysis.evidence.speed import NoiseFloor, SpeedEvidence
from harness.analysis.evidence.time_to_quality import TimeToScore
from harness.analysis.evidence.work import NEW_SCHEDULE
from harness.records.trial import ScoringRecord
from harness.statistics.multiple import holm, intersection_union
from harness.statistics.paired import p_not_above, p_not_below

SAME_MATH = "SAME_MATH"
"""The effect of strategies whose updates are the baseline's up to rounding (`harness.strategy.Effect`, by name)."""

LOWER_PRECISION = "LOWER_PRECISION"
"""The effect of strategies that make the baseline's updates with fewer digits."""

COLLAPSE_SHARE = 0.5
"""Share of the baseline's gain over the untrained model whose loss even one seed shows."""


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
    time_to_score: TimeToScore | None
    equivalence: Equivalence | None
    footprint: FootprintDifference | None
    quality: QualityEvidence | None
    learning: Learning | None
    scoring: ScoringRecord
    seeds: int
    """Jobs that have one of the baseline's with the same seed."""
    baseline_dtype: str | None = "float32"
    """Of the baseline's own forward pass, as in `Equivalence.dtype`; None if it was not looked at."""
    unchecked: tuple[str, ...] = ()
    """Checks that could not be made, in words."""
    phases: tuple[str, ...] = ()
    """Outside training and evaluation: what it declares to change."""

    @property
    def same_math(self) -> bool:
        """Whether every part claims to make the baseline's updates."""
        return bool(self.effects) and all(effect == SAME_MATH for effect in self.effects)

    @property
    def lowers_precision(self) -> bool:
        """Whether it claims the baseline's updates up to the rounding of a lower precision."""
        return LOWER_PRECISION in self.effects and set(self.effects) <= {SAME_MATH, LOWER_PRECISION}

    @property
    def shown_same(self) -> bool:
        """Whether it claims the baseline's updates and the equivalence check proves them."""
        return self.same_math and self.equivalence is not None and self.equivalence.proves


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What is shown, corrected for the number of contenders."""

    faster: bool
    accepted: bool
    slower: bool
    worse: bool


def settle_claims(evidence: Mapping[str, Evidence], *, alpha: float) -> dict[str, Claims]:
    """Return what is shown of each contender.

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
        name: Claims(
            faster=faster[name] < alpha,
            accepted=accepted[name] < alpha,
            slower=slower[name] < alpha,
            worse=worse[name] < alpha,
        )
        for name in evidence
    }


def p_faster(item: Evidence) -> float:
    """Return the p-value of "the job is not faster than the noise floor allows"; 1 without evidence.

    A new schedule must also reach the baseline's score sooner.
    """
    if item.job is None:
        return 1.0
    if NEW_SCHEDULE in item.effects and not is_sooner(item.time_to_score):
        return 1.0
    return p_not_above(item.job.ratio, 1.0 + item.job.floor)


def is_sooner(time: TimeToScore | None) -> bool:
    """Return whether the baseline's score was reached sooner than by the baseline; False if that was not measured."""
    return time is not None and time.speedup is not None and time.speedup > 1.0


def p_slower(item: Evidence) -> float:
    """Return the p-value of "the job is not slower than the noise floor allows"; 1 without evidence."""
    return 1.0 if item.job is None else p_not_below(item.job.ratio, 1.0 / (1.0 + item.job.floor))


def p_quality_holds(item: Evidence) -> float:
    """Return 0 if equivalence is shown, else the p-value of "a score is worse by the margin"; 1 if nobody can tell."""
    if item.shown_same:
        return 0.0
    if item.quality is None or item.learning is None or item.learning.vacuous or item.seeds < LEAST_SEEDS:
        return 1.0
    return intersection_union([value.p_value for value in item.quality.values()])


def p_worse(item: Evidence) -> float:
    """Return the p-value of "no score is worse by the margin", Bonferroni over the metrics; 1 without evidence.

    Against a baseline that has not learned there is none. One seed is not evidence either, as another may train to some
    points more or less, unless half of what the baseline had learned is lost.
    """
    if item.quality is None or (item.learning is not None and item.learning.vacuous):
        return 1.0
    if item.seeds < LEAST_SEEDS:
        gain = math.inf if item.learning is None else item.learning.gain
        headline = item.quality[item.scoring.headline]
        return headline.p_inferior if headline.high < -COLLAPSE_SHARE * gain else 1.0
    return min(1.0, len(item.quality) * min(value.p_inferior for value in item.quality.values()))
