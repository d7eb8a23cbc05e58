"""What can be claimed of each contender: its speed and its quality, corrected for the number of contenders."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.analysis.evidence.gather import Case
from harness.analysis.evidence.job import JobSpeed
from harness.analysis.evidence.quality import LEAST_SEEDS
from harness.analysis.verdict.pace import Pace, measure_pace
from harness.analysis.verdict.reason import Quality, Speed
from harness.records.strategy import NEW_SCHEDULE
from harness.statistics.multiple import alpha_of_look, holm, intersection_union
from harness.statistics.paired import p_not_beyond

COLLAPSE_SHARE = 0.5
"""Share of the baseline's gain over the untrained model whose loss even one seed shows."""


@dataclass(frozen=True, kw_only=True)
class BeyondNoise:
    """How a job's speedup lies to its noise floor and to what is worth switching on: all that verdicts know of both."""

    job: JobSpeed
    worth: float
    """Smallest gain worth switching on, as a share."""
    p_faster: float
    """Of "the job is not faster than the floor allows"."""
    p_slower: float
    """Of "the job is not slower than the floor allows"."""
    p_no_gain: float
    """Of "the job gains what is worth it"; the floor has no part in it."""
    faster: bool
    """The whole interval lies above the floor."""
    slower: bool
    """The whole interval lies below the floor."""
    no_gain: bool
    """The whole interval lies below what is worth it."""

    @property
    def clear(self) -> bool:
        """Whether the interval would decide if there were no other contenders."""
        return self.faster or self.slower or self.no_gain

    @property
    def distance(self) -> float:
        """From the estimate to the nearest end beyond which the interval must lie to decide, in logs: the way is
        shortest to the claim that the estimate makes by most. Not above 0 where it makes none.
        """
        log_ratio, floor = math.log(self.job.ratio.estimate), math.log1p(self.job.floor)
        return max(log_ratio - floor, -floor - log_ratio, math.log1p(self.worth) - log_ratio)


def beyond_noise(job: JobSpeed, worth: float) -> BeyondNoise:
    """Hold a job's speedup against its noise floor and against what is worth it: the one place that does."""
    ratio, end = job.ratio, 1.0 + job.floor
    return BeyondNoise(
        job=job,
        worth=worth,
        p_faster=p_not_beyond(ratio, end, "above"),
        p_slower=p_not_beyond(ratio, 1.0 / end, "below"),
        p_no_gain=p_not_beyond(ratio, 1.0 + worth, "below"),
        faster=ratio.low > end,
        slower=ratio.high < 1.0 / end,
        no_gain=ratio.high < 1.0 + worth,
    )


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What is shown of one contender, corrected for the number of contenders."""

    noise: BeyondNoise | None
    """None where the job's speed was not measured."""
    speed: Speed | None
    quality: Quality
    accepted: bool
    """Faster, and its quality the same or holding."""
    contenders: int
    """How many the claims are corrected for."""
    next_alpha: float
    """Error rate that is left for the next look, when the run has been extended."""
    pace: Pace
    """What more evidence would take."""


def settle_claims(cases: Mapping[str, Case], *, alpha: float) -> dict[str, Claims]:
    """Return what is shown of each contender.

    An acceptance claims "faster, and no worse": each part must be shown (intersection-union, Berger 1982), and
    over all contenders together the chance of a false acceptance is at most `alpha` (Holm 1979); likewise for each of
    the claims "slower", "no gain", "holds" and "worse". What was not measured has a p-value of 1. A claim on speed
    needs its whole 95 % interval too, so that no word contradicts the interval beside it. However often the run was
    extended and judged again, `alpha` holds for all these looks together.
    """
    if not cases:
        return {}
    looks = next(iter(cases.values())).reference.run.looks
    alpha, next_alpha = alpha_of_look(alpha, looks), alpha_of_look(alpha, looks + 1)
    noise = {
        name: None if (job := case.evidence.job) is None else beyond_noise(job, case.reference.run.config.worth)
        for name, case in cases.items()
    }
    p_faster = {name: 1.0 if found is None or is_late(cases[name]) else found.p_faster for name, found in noise.items()}
    p_quality = {name: _p_quality_holds(case) for name, case in cases.items()}
    faster, holds = holm(p_faster), holm(p_quality)
    accepted = holm({name: intersection_union([p_faster[name], p_quality[name]]) for name in cases})
    slower = holm({name: 1.0 if found is None else found.p_slower for name, found in noise.items()})
    no_gain = holm({name: 1.0 if found is None else found.p_no_gain for name, found in noise.items()})
    worse = holm({name: _p_worse(case) for name, case in cases.items()})
    settled = {}
    for name, case in cases.items():
        found, both = noise[name], accepted[name] < alpha
        # The weaker part of a claim that is not shown as a whole is not shown: together they mean "accepted".
        quality_lags = p_quality[name] > p_faster[name]
        shown = {"slower": slower[name] < alpha, "no_gain": no_gain[name] < alpha,
                 "faster": faster[name] < alpha and (both or quality_lags)}  # fmt: skip
        speed = None if found is None else _speed_word(found, **shown)
        held = holds[name] < alpha and (both or not (speed == "FASTER" and quality_lags))
        settled[name] = (found, speed, both and speed == "FASTER", _quality_word(case, held, worse[name] < alpha))
    pace = measure_pace(cases, [name for name, (_, speed, _, _) in settled.items() if speed == "UNCLEAR"])
    return {
        name: Claims(
            noise=found,
            speed=speed,
            quality=quality,
            accepted=both,
            contenders=len(cases),
            next_alpha=next_alpha,
            pace=pace,
        )
        for name, (found, speed, both, quality) in settled.items()
    }


def _speed_word(noise: BeyondNoise, *, faster: bool, slower: bool, no_gain: bool) -> Speed:
    """Return the word for a job that was measured; a gain that is shown and shown to be too small is none."""
    if slower and noise.slower:
        return "SLOWER"
    if no_gain and noise.no_gain:
        return "NO_GAIN"
    return "FASTER" if faster and noise.faster else "UNCLEAR"


def _quality_word(case: Case, holds: bool, worse: bool) -> Quality:
    if worse:
        return "WORSE"
    if case.evidence.shown_same and not unchecked(case):
        return "SAME"
    return "HOLDS" if holds else "OPEN"


def unchecked(case: Case) -> list[str]:
    """Return in words which checks of its quality could not be made: then it is open, whatever the scores say."""
    jobs, check = case.trials.jobs, case.evidence.equivalence
    problems = [job.evaluation_check.problem for job in jobs if job.evaluation_check is not None]
    found = [f"its scores could not be checked: {problem}" for problem in problems if problem is not None]
    if check is not None and check.unmade is not None:
        found.append(f"its updates could not be checked: {check.unmade}")
    return found


def is_late(case: Case) -> bool:
    """Return whether it is a new schedule that is shown the baseline's score no sooner than the baseline is.

    What a baseline reaches that has not learned says nothing.
    """
    time, learning = case.evidence.time_to_score, case.reference.learning
    if NEW_SCHEDULE not in case.evidence.effects or learning is None or learning.vacuous:
        return False
    return time is not None and time.speedup is not None and time.speedup <= 1.0


def misses_score(case: Case) -> str | None:
    """Return in words that a new schedule was not seen to reach the baseline's score; None if it was."""
    time, title = case.evidence.time_to_score, case.reference.run.scoring.headline_title
    if NEW_SCHEDULE not in case.evidence.effects or (time is not None and time.speedup is not None):
        return None
    if time is not None and time.contender_s is None:
        return f"it does not reach the baseline's {title} with every seed, which a new schedule must"
    return f"when it reaches the baseline's {title} was not measured"


def _p_quality_holds(case: Case) -> float:
    """Return 0 if equivalence is shown, else the p-value of "a score is worse by the margin"; 1 if nobody can tell."""
    evidence, learning = case.evidence, case.reference.learning
    if unchecked(case):
        return 1.0
    if evidence.shown_same:
        return 0.0
    if evidence.quality is None or learning is None or learning.vacuous or evidence.pairs < LEAST_SEEDS:
        return 1.0
    if misses_score(case) is not None:
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
