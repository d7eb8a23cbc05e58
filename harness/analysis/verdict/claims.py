"""What can be claimed of each contender: beyond noise, and p-values corrected for the number of contenders."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.analysis.evidence.gather import Case
from harness.analysis.evidence.job import JobSpeed
from harness.analysis.evidence.quality import LEAST_SEEDS
from harness.records.strategy import NEW_SCHEDULE
from harness.statistics.multiple import alpha_of_look, holm, intersection_union
from harness.statistics.paired import blocks_needed, p_not_beyond

WIDE = 0.05
"""Half width of the job speedup's interval, as a share, beyond which "no gain" may be "not measured well"."""

CLEAR_HALF_WIDTHS = 2.0
"""Half widths of its 95 % interval from the noise floor at which a speedup is beyond noise however many contenders
there are: its p-value is about 0.00005."""

COLLAPSE_SHARE = 0.5
"""Share of the baseline's gain over the untrained model whose loss even one seed shows."""


@dataclass(frozen=True, kw_only=True)
class BeyondNoise:
    """How a job's speedup lies to its noise floor: all that verdicts know of the floor."""

    job: JobSpeed
    p_faster: float
    """Of "the job is not faster than the floor allows"."""
    p_slower: float
    """Of "the job is not slower than the floor allows"."""
    faster: bool
    """The whole interval lies above the floor."""
    clear: bool
    """The whole interval lies beyond the floor, on either side."""
    wide: bool
    """The interval is so wide that "no gain" may be "not measured well"."""
    distance: float
    """From the floor's end to the estimate, in logs."""

    @property
    def blocks_needed(self) -> int:
        """About how many blocks would show what is clear among any number of contenders."""
        return blocks_needed(self.job.ratio, math.expm1(self.distance / CLEAR_HALF_WIDTHS))


def beyond_noise(job: JobSpeed) -> BeyondNoise:
    """Hold a job's speedup against its noise floor: the one place that does."""
    ratio, end = job.ratio, 1.0 + job.floor
    return BeyondNoise(
        job=job,
        p_faster=p_not_beyond(ratio, end, "above"),
        p_slower=p_not_beyond(ratio, 1.0 / end, "below"),
        faster=ratio.low > end,
        clear=max(ratio.low, 1.0 / ratio.high) > end,
        wide=ratio.log_half_width > math.log1p(max(WIDE, 3.0 * job.floor)),
        distance=abs(math.log(ratio.estimate)) - math.log1p(job.floor),
    )


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What is shown, corrected for the number of contenders."""

    noise: BeyondNoise | None
    """None where the job's speed was not measured."""
    faster: bool
    accepted: bool
    slower: bool
    worse: bool
    quality_lags: bool
    """Quality is less sure to hold than the job is to be faster."""


def settle_claims(cases: Mapping[str, Case], *, alpha: float) -> dict[str, Claims]:
    """Return what is shown of each contender.

    An acceptance claims "faster, and no worse": each part must be shown (intersection-union, Berger 1982), and
    over all contenders together the chance of a false acceptance is at most `alpha` (Holm 1979); likewise for the
    claims "slower" and "worse". What was not measured has a p-value of 1. However often the run was extended and judged
    again, `alpha` holds for all these looks together.
    """
    alpha = alpha_of_look(alpha, max((case.reference.run.looks for case in cases.values()), default=1))
    jobs = {name: case.evidence.job for name, case in cases.items()}
    noise = {name: None if job is None else beyond_noise(job) for name, job in jobs.items()}
    # A new schedule must also reach the baseline's score sooner.
    late = {name for name, case in cases.items() if NEW_SCHEDULE in case.evidence.effects and not is_sooner(case)}
    p_faster = {name: 1.0 if found is None or name in late else found.p_faster for name, found in noise.items()}
    p_quality = {name: _p_quality_holds(case) for name, case in cases.items()}
    faster = holm(p_faster)
    accepted = holm({name: intersection_union([p_faster[name], p_quality[name]]) for name in cases})
    slower = holm({name: 1.0 if found is None else found.p_slower for name, found in noise.items()})
    worse = holm({name: _p_worse(case) for name, case in cases.items()})
    return {
        name: Claims(
            noise=noise[name],
            faster=faster[name] < alpha,
            accepted=accepted[name] < alpha,
            slower=slower[name] < alpha,
            worse=worse[name] < alpha,
            quality_lags=p_quality[name] > p_faster[name],
        )
        for name in cases
    }


def is_sooner(case: Case) -> bool:
    """Return whether the baseline's score was reached sooner than by the baseline; False if that was not measured."""
    time = case.evidence.time_to_score
    return time is not None and time.speedup is not None and time.speedup > 1.0


def _p_quality_holds(case: Case) -> float:
    """Return 0 if equivalence is shown, else the p-value of "a score is worse by the margin"; 1 if nobody can tell."""
    evidence, learning = case.evidence, case.reference.learning
    if evidence.shown_same:
        return 0.0
    if evidence.quality is None or learning is None or learning.vacuous or evidence.pairs < LEAST_SEEDS:
        return 1.0
    return intersection_union([value.p_value for value in evidence.quality.values()])


def _p_worse(case: Case) -> float:
    """Return the p-value of "no score is worse by the margin", Bonferroni over the metrics.

    Against a baseline that has not learned there is none. One seed is not evidence either, as another may train to some
    points more or less, unless half of what the baseline had learned is lost.
    """
    quality, learning = case.evidence.quality, case.reference.learning
    if quality is None or (learning is not None and learning.vacuous):
        return 1.0
    if case.evidence.pairs < LEAST_SEEDS:
        gain = math.inf if learning is None else learning.gain
        headline = quality[case.reference.run.scoring.headline]
        return headline.p_inferior if headline.high < -COLLAPSE_SHARE * gain else 1.0
    return min(1.0, len(quality) * min(value.p_inferior for value in quality.values()))
