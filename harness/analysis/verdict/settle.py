"""What would settle an open question: which part of an interval dominates it, and how much more of what is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from scipy import stats

from harness.analysis.evidence.gather import Case
from harness.analysis.evidence.job import JobSpeed, Term
from harness.analysis.evidence.quality import LEAST_SEEDS
from harness.analysis.verdict.claims import BeyondNoise, Claims
from harness.analysis.verdict.pace import duration_words
from harness.analysis.verdict.reason import Words
from harness.config import HUB_DATASET, SQUAD_VALIDATION
from harness.records.trial import RunRecord
from harness.statistics.noninferiority import POWER, NonInferiority
from harness.statistics.paired import CONFIDENCE, combine

MOST_SEEDS = 20
"""More are not advised: the run would be another one."""

MOST_BUDGETS = (2, 3, 4, 6, 8, 12, 20)
"""How many times the budget may be advised."""


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
    if dominant is None:
        return []
    way = find_way(noise, claims)
    if way is None:
        least = f"--seeds {MOST_SEEDS} and {MOST_BUDGETS[-1]} times the time in segments"
        return [dominant, Words(f"even {least} would hardly settle it: it is too near to where it would count")]
    options = {}
    if way.seeds > claims.pace.seeds:
        options["seeds"] = str(way.seeds)
    if way.times_budget > 1:
        options["budget"] = f"{claims.pace.larger_budget_s(way.times_budget):.0f}"
    text = f"to settle it: `{claims.pace.extend(**options)}`, {duration_words(way.time_s)}"
    budget_s = claims.pace.larger_budget_s(way.times_budget)
    numbers = {"seeds": way.seeds, "times_budget": way.times_budget, "budget_s": budget_s, "time_s": way.time_s}
    return [dominant, Words(text, numbers)]


def find_way(noise: BeyondNoise, claims: Claims) -> Way | None:
    """Return the quickest way to an interval that decides with 80 % power, if the estimate stays; None within limits.

    Every part of the variance shrinks with the number of what it is known from, and its degrees of freedom grow
    with it. Holm's worst case, in which no other contender is clear, is what the interval must suffice for, at the
    error rate that is left for the next look.
    """
    pace = claims.pace
    ways = [
        Way(seeds, times, pace.of_more(seeds=seeds, times_budget=times))
        for seeds in range(pace.seeds, MOST_SEEDS + 1)
        for times in (1, *MOST_BUDGETS)
        if (seeds, times) != (pace.seeds, 1)
    ]
    enough = (way for way in ways if _decides(noise, claims, way))
    return min(enough, key=lambda way: (way.time_s, way.seeds, way.times_budget), default=None)


def _decides(noise: BeyondNoise, claims: Claims, way: Way) -> bool:
    parts = list(_scaled(noise.job.terms, seeds=way.seeds / claims.pace.seeds, budget=way.times_budget))
    ratio = combine(0.0, parts, blocks=0)
    level = max(0.5 + CONFIDENCE / 2.0, 1.0 - claims.next_alpha / claims.contenders)
    t = stats.t(ratio.degrees_of_freedom)
    return bool(ratio.log_standard_error * float(t.ppf(level) + t.ppf(POWER)) <= noise.distance)


def _scaled(terms: Sequence[Term], *, seeds: float, budget: float) -> Iterator[tuple[float, float]]:
    for term in terms:
        times = {"seeds": seeds, "budget": budget, None: 1.0}[term.settled_by]
        yield term.log_standard_error / times**0.5, term.degrees_of_freedom * times


def settle_quality(case: Case, claims: Claims, worst: NonInferiority) -> list[Words]:
    """Say what would show that a score holds, if nothing is really lost, and the command that collects it."""
    examples, seeds, pace = case.reference.run.scoring.examples, case.evidence.pairs, claims.pace
    needed, more_seeds = worst.examples_needed, worst.seeds_needed
    if seeds < LEAST_SEEDS:
        # One seed tells nothing of how much seeds differ.
        more_seeds = LEAST_SEEDS if needed is not None and needed <= worst.examples else None
    if more_seeds is not None and more_seeds <= MOST_SEEDS:
        more_seeds = max(more_seeds, seeds + 1)
        text = f"to settle it, if nothing is really lost: `{pace.extend(seeds=str(more_seeds))}`"
        time_s = pace.of_more(seeds=more_seeds)
        return [Words(f"{text}, {duration_words(time_s)}", {"seeds": more_seeds, "time_s": time_s})]
    if needed is None or needed <= worst.examples or not _source_has(case.reference.run, needed):
        return [Words(f"no number of {examples} or seeds within reach would settle it")]
    at_least = max(seeds, LEAST_SEEDS)
    time_s = pace.of_new(seeds=at_least, times_examples=needed / worst.examples)
    command = pace.again(seeds=str(at_least), quality_size=str(needed))
    text = f"to settle it, if nothing is really lost: about {needed:,} {examples} and {at_least} seeds, `{command}`"
    return [Words(f"{text}, {duration_words(time_s)}", {examples: needed, "seeds": at_least, "time_s": time_s})]


def _source_has(run: RunRecord, examples: int) -> bool:
    """Return whether the source may hold so many examples to judge quality by."""
    if run.config.data.source == "hub" and run.config.data.hub_id == HUB_DATASET:
        return examples <= SQUAD_VALIDATION
    given, asked = (run.data.get(name) for name in ("quality_questions", "quality_questions_asked"))
    return given is None or given == asked
