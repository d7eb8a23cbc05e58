"""What would settle an open question: which part of an interval dominates it, and how much more of what is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from scipy import stats

from harness.analysis.evidence.gather import Case
from harness.analysis.evidence.job import JobSpeed, Term
from harness.analysis.evidence.quality import LEAST_SEEDS
from harness.analysis.evidence.speed import LEAST_FLOOR
from harness.analysis.verdict.claims import BeyondNoise, Claims, beyond_noise
from harness.analysis.verdict.pace import duration_words
from harness.analysis.verdict.reason import Words
from harness.statistics.noninferiority import POWER, NonInferiority
from harness.statistics.paired import CONFIDENCE, combine

MOST_SEEDS = 20
"""More are not advised: the run would be another one."""

MOST_BUDGETS = (2, 3, 4, 6, 8, 12, 20)
"""How many times the budget may be advised."""

FLOOR_BUDGETS = 4
"""How many times the budget is advised where the noise floor is too high: it then is about half as high."""


class Way(NamedTuple):
    """More evidence that would settle a question."""

    seeds: int
    times_budget: int
    time_s: float


def dominant_words(job: JobSpeed) -> Words | None:
    """Name the part that most of a job's interval is made of; None where the parts are not known."""
    variance = sum(term.log_standard_error**2 for term in job.terms)
    if variance <= 0.0:
        return None
    term = job.terms[0]
    share, error_s = term.log_standard_error**2 / variance, term.log_standard_error * job.contender_s
    of_what = "blocks" if term.settled_by == "budget" else "jobs"
    return Words(
        f"{share:.0%} of this interval is {term.part}: ±{error_s:.2g} s (one standard error) in a job of "
        f"{job.contender_s:.3g} s, known from {term.samples} {of_what}".replace("%", " %", 1),
        {"share": share, "standard_error_s": error_s, "samples": term.samples},
    )


def settle_speed(noise: BeyondNoise, claims: Claims) -> list[Words]:
    """Say which part dominates the interval of a job's speedup, and the command that would make it decide."""
    dominant = dominant_words(noise.job)
    if dominant is None or claims.pace is None:
        return []
    way = find_way(noise, claims)
    if way is None and _floor_is_in_the_way(noise, claims):
        budget_s = FLOOR_BUDGETS * claims.pace.budget_s
        command = claims.pace.extend(budget=f"{budget_s:g}")
        time = duration_words(claims.pace.of_more(times_budget=FLOOR_BUDGETS))
        text = f"it is the noise floor that stands in the way, and more A/A that may lower it: `{command}`, {time}"
        return [dominant, Words(text, {"budget_s": budget_s})]
    if way is None:
        least = f"--seeds {MOST_SEEDS} and {MOST_BUDGETS[-1]} times the --budget"
        return [dominant, Words(f"even {least} would hardly settle it: it is too near to where it would count")]
    options = {}
    if way.seeds > claims.pace.seeds:
        options["seeds"] = str(way.seeds)
    if way.times_budget > 1:
        options["budget"] = f"{way.times_budget * claims.pace.budget_s:g}"
    text = f"to settle it: `{claims.pace.extend(**options)}`, {duration_words(way.time_s)}"
    numbers = {"seeds": way.seeds, "budget_s": way.times_budget * claims.pace.budget_s, "time_s": way.time_s}
    return [dominant, Words(text, numbers)]


def find_way(noise: BeyondNoise, claims: Claims) -> Way | None:
    """Return the quickest way to an interval that decides with 80 % power, if the estimate stays; None within limits.

    Every part of the variance shrinks with the number of what it is known from, and its degrees of freedom grow
    with it. Holm's worst case, in which no other contender is clear, is what the interval must suffice for.
    """
    pace = claims.pace
    if pace is None:
        return None
    seeds = range(pace.seeds, MOST_SEEDS + 1)
    ways = [
        Way(number, times, pace.of_more(seeds=number, times_budget=times))
        for number in seeds
        for times in (1, *MOST_BUDGETS)
        if (number, times) != (pace.seeds, 1)
    ]
    enough = (way for way in ways if _decides(noise, claims, way))
    return min(enough, key=lambda way: (way.time_s, way.seeds, way.times_budget), default=None)


def _floor_is_in_the_way(noise: BeyondNoise, claims: Claims) -> bool:
    """Return whether the job would be shown to be faster or slower if the floor were the lowest that there is."""
    low = beyond_noise(replace(noise.job, floor=LEAST_FLOOR), noise.worth)
    return noise.job.floor > LEAST_FLOOR and (low.faster or low.slower or find_way(low, claims) is not None)


def _decides(noise: BeyondNoise, claims: Claims, way: Way) -> bool:
    seeds = way.seeds / claims.pace.seeds if claims.pace is not None else 1.0
    parts = list(_scaled(noise.job.terms, seeds=seeds, budget=way.times_budget))
    ratio = combine(0.0, parts, blocks=0)
    level = max(0.5 + CONFIDENCE / 2.0, 1.0 - claims.alpha / claims.contenders)
    t = stats.t(ratio.degrees_of_freedom)
    return bool(ratio.log_standard_error * float(t.ppf(level) + t.ppf(POWER)) <= noise.distance)


def _scaled(terms: Sequence[Term], *, seeds: float, budget: float) -> Iterator[tuple[float, float]]:
    for term in terms:
        times = {"seeds": seeds, "budget": budget, None: 1.0}[term.settled_by]
        yield term.log_standard_error / times**0.5, term.degrees_of_freedom * times


def settle_quality(case: Case, claims: Claims, worst: NonInferiority) -> list[Words]:
    """Say what would show that a score holds, if nothing is really lost, and the command that collects it."""
    examples, seeds, pace = case.reference.run.scoring.examples, case.evidence.pairs, claims.pace
    if pace is None:
        return []
    needed, more_seeds = worst.examples_needed, worst.seeds_needed
    if seeds < LEAST_SEEDS:
        # One seed tells nothing of how much seeds differ.
        more_seeds = LEAST_SEEDS if needed is not None and needed <= worst.examples else None
    if more_seeds is not None and more_seeds <= MOST_SEEDS:
        more_seeds = max(more_seeds, seeds + 1)
        text = f"to settle it, if nothing is really lost: `{pace.extend(seeds=str(more_seeds))}`"
        time_s = pace.of_more(seeds=more_seeds)
        return [Words(f"{text}, {duration_words(time_s)}", {"seeds": more_seeds, "time_s": time_s})]
    if needed is None or needed <= worst.examples:
        return [Words(f"no number of {examples} or seeds within reach would settle it")]
    at_least = max(seeds, LEAST_SEEDS)
    time_s = pace.of_new(seeds=at_least, times_examples=needed / worst.examples)
    command = pace.again(seeds=str(at_least), validation_size=str(needed))
    text = f"to settle it, if nothing is really lost: about {needed:,} {examples} and {at_least} seeds, `{command}`"
    return [Words(f"{text}, {duration_words(time_s)}", {examples: needed, "seeds": at_least, "time_s": time_s})]
