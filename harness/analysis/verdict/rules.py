"""One verdict for each contender, with its reasons, from all the evidence there is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from harness.analysis.evidence.gather import Case
from harness.analysis.evidence.sameness import evaluation_problem
from harness.analysis.evidence.speed import segment_difference
from harness.analysis.evidence.work import clock_problem
from harness.analysis.verdict.claims import WIDE, BeyondNoise, Claims, is_sooner, settle_claims
from harness.analysis.verdict.reason import Reason, Verdict, Words
from harness.analysis.verdict.words import (
    blocks_words,
    open_quality_words,
    quality_words,
    ratio_words,
    score_numbers,
    scores_of,
    speed_words,
)
from harness.records.strategy import NEW_SCHEDULE
from harness.records.tolerances import FULL_PRECISION
from harness.statistics.paired import blocks_needed

JOBS_DISAGREE = 1.25
"""Factor between the jobs as they ran and the speedup put together from segments beyond which the two contradict."""

Said = Iterable[Words]
"""Nothing where the rule does not apply."""

Look = Callable[[Case, Claims], Said]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict and why."""

    verdict: Verdict
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Rule:
    """What it looks at decides, if it says anything."""

    name: str
    verdict: Verdict
    look: Look

    def reasons(self, case: Case, claims: Claims) -> list[Reason]:
        """Return what it says, each thing once."""
        said = {words.text: words for words in self.look(case, claims)}
        return [Reason(rule=self.name, text=words.text, numbers=dict(words.numbers)) for words in said.values()]


def judge_all(cases: Mapping[str, Case], *, alpha: float) -> dict[str, Judgement]:
    """Return the verdict of each contender; the chance of accepting any that should not be is at most `alpha`.

    It is that of the first rule that says anything; a rejection tells everything that disqualifies.
    """
    judged = {}
    for name, claims in settle_claims(cases, alpha=alpha).items():
        rule, reasons = next((rule, said) for rule in RULES if (said := rule.reasons(cases[name], claims)))
        for other in RULES:
            if rule.verdict == other.verdict == "REJECTED" and other is not rule:
                reasons += other.reasons(cases[name], claims)
        judged[name] = Judgement(verdict=rule.verdict, reasons=tuple(reasons))
    return judged


def _if(holds: Callable[[Case], bool], text: str) -> Look:
    """Return the look that says a text where a condition holds."""
    return lambda case, _: [Words(text)] if holds(case) else []


def _each(find: Callable[[Case], Iterable[str | None]], before: str = "") -> Look:
    """Return the look that says every problem that is found."""
    return lambda case, _: [Words(before + problem) for problem in find(case) if problem is not None]


def _other_mathematics(case: Case, _: Claims) -> Said:
    """Tell how the updates of one that claims the baseline's, in whatever precision, are not those."""
    evidence, check = case.evidence, case.evidence.equivalence
    if check is None or not (evidence.same_math or evidence.lowers_precision):
        return
    claim = "the baseline's mathematics" + (" in a lower precision" if evidence.lowers_precision else "")
    if check.problem is not None:
        yield Words(f"it claims {claim}, but {check.problem}")
    # The baseline may be a stack with a lower precision; what computes in the same one keeps its promise.
    if evidence.same_math and case.reference.dtype is not None and check.dtype not in (
        FULL_PRECISION, case.reference.dtype
    ):  # fmt: skip
        yield Words(f"it claims {claim}, but computes in {check.dtype}")


def _worse_quality(case: Case, claims: Claims) -> Said:
    scores = scores_of(case) if claims.worse else {}
    least = min((value.p_inferior for value in scores.values()), default=None)
    for metric, value in scores.items():
        if value.p_inferior == least:
            change = f"{value.difference:+.1f} points ({value.low:+.1f} to {value.high:+.1f})"
            yield Words(
                f"{metric.title} is worse: {change}, {value.margin:g} may be lost", score_numbers({metric: value})
            )


def _unchecked(case: Case, _: Claims) -> Said:
    for job in case.trials.jobs:
        if job.evaluation_check is not None and job.evaluation_check.problem is not None:
            yield Words(f"its scores could not be checked: {job.evaluation_check.problem}")
    check = case.evidence.equivalence
    if check is not None and check.unmade is not None:
        yield Words(f"its updates could not be checked: {check.unmade}")


def _spoilt_segments(case: Case, _: Claims) -> Said:
    speed = case.evidence.speed
    if speed is not None and (speed.training is None or speed.evaluation is None):
        why = "; ".join(speed.contamination) or "too few blocks"
        yield Words(
            f"{speed.spoilt} of {speed.blocks} timed blocks are spoilt, also when measured again: {why}",
            {"spoilt": speed.spoilt, "blocks": speed.blocks},
        )


def _contradiction(case: Case, _: Claims) -> Said:
    """Tell that what was timed is not what the jobs did."""
    job, told = case.evidence.job, "segments and jobs contradict each other"
    if job is None:
        return
    if job.contradictions:
        yield Words(f"{told}: {'; '.join(job.contradictions)}")
    elif job.as_run is not None:
        segments, as_run = job.ratio.estimate, job.as_run.estimate
        opposite = (as_run - 1.0) * (segments - 1.0) < 0
        if opposite and not 1 / JOBS_DISAGREE <= as_run / segments <= JOBS_DISAGREE:
            text = f"{told}: {segments:.2f}× by segments, {as_run:.2f}× as the jobs ran"
            yield Words(text, {"segments": segments, "as_run": as_run})


def _timed(look: Callable[[Case, Claims, BeyondNoise], Said]) -> Look:
    """Return a look at a job whose speed was measured; rules before it see to that."""
    return lambda case, claims: [] if claims.noise is None else look(case, claims, claims.noise)


def _slower(case: Case, claims: Claims, noise: BeyondNoise) -> Said:
    if not claims.slower:
        return
    yield speed_words(noise.job)
    steps = case.evidence.steps
    if steps is not None and steps.low > 1.0:
        yield Words(
            f"its steps alone are {ratio_words(steps)}: this job is too short to earn its warm-up back",
            {"step_speedup": steps.estimate, "low": steps.low, "high": steps.high},
        )


def _untimed_schedule(case: Case, _: Claims, noise: BeyondNoise) -> Said:
    time = case.evidence.time_to_score
    if _is_no_sooner(case, noise) and (time is None or (time.contender_s is not None and time.speedup is None)):
        title = case.reference.run.scoring.headline_title
        yield speed_words(noise.job)
        yield Words(f"when it reaches the baseline's {title} was not measured")


def _late_schedule(case: Case, _: Claims, noise: BeyondNoise) -> Said:
    time, title = case.evidence.time_to_score, case.reference.run.scoring.headline_title
    if time is not None and _is_no_sooner(case, noise):
        yield speed_words(noise.job)
        if time.contender_s is None:
            yield Words(f"it does not reach the baseline's {title} with every seed, so its faster epochs gain nothing")
        else:
            late = f"it reaches the baseline's {title} no sooner: {time.contender_s:.1f} s"
            yield Words(late, {"contender_s": time.contender_s})


def _is_no_sooner(case: Case, noise: BeyondNoise) -> bool:
    """Return whether it is a new schedule whose job is faster, but which is not as good any sooner."""
    return NEW_SCHEDULE in case.evidence.effects and noise.faster and not is_sooner(case)


def _among_many(noise: BeyondNoise) -> Said:
    """Tell that a speed would be beyond noise if there were no other contenders."""
    more = blocks_words(noise.blocks_needed)
    yield speed_words(noise.job)
    yield Words(f"not yet beyond noise with so many contenders: {more.text}", more.numbers)


RULES = (
    Rule(
        "unequal_work",
        "REJECTED",
        _each(lambda case: () if case.work is None else case.work.differences, "unequal work: "),
    ),
    Rule(
        "wrong_scores",
        "REJECTED",
        _each(
            lambda case: (evaluation_problem(job.evaluation_check) for job in case.trials.jobs if job.evaluation_check)
        ),
    ),
    Rule("wrong_clock", "REJECTED", _each(lambda case: map(clock_problem, case.trials.jobs))),
    Rule(
        "unequal_segments",
        "REJECTED",
        _each(
            lambda case: () if NEW_SCHEDULE in case.evidence.effects else map(segment_difference, case.trials.timed),
            "unequal work in the timed segments: ",
        ),
    ),
    Rule("other_mathematics", "REJECTED", _other_mathematics),
    Rule("worse_quality", "REJECTED", _worse_quality),
    Rule(
        "inert",
        "INERT",
        _if(
            lambda case: (
                case.evidence.footprint is not None and case.evidence.footprint.inert and not case.evidence.phases
            ),
            "it changed nothing that runs: the same operators, dtypes, weights' layout, host code and settings",
        ),
    ),
    Rule("unchecked", "INCONCLUSIVE", _unchecked),
    Rule(
        "unpaired",
        "INCONCLUSIVE",
        _if(
            lambda case: case.evidence.pairs == 0,
            "no job of it has a baseline job of the same seed, so its work could not be compared",
        ),
    ),
    Rule(
        "no_noise_floor",
        "INCONCLUSIVE",
        _if(
            lambda case: case.reference.floor is None,
            "there is no A/A comparison of the baseline with itself, so no noise floor",
        ),
    ),
    Rule(
        "no_segments",
        "INCONCLUSIVE",
        _if(lambda case: case.evidence.speed is None, "its speed was not measured in segments"),
    ),
    Rule("spoilt_segments", "INCONCLUSIVE", _spoilt_segments),
    Rule("no_job", "INCONCLUSIVE", _if(lambda case: case.evidence.job is None, "its whole job was not measured")),
    Rule("contradiction", "INCONCLUSIVE", _contradiction),
    Rule(
        "faster",
        "ACCEPTED",
        _timed(
            lambda case, claims, noise: (
                [speed_words(noise.job, "faster: "), *quality_words(case)] if claims.accepted else []
            )
        ),
    ),
    Rule(
        "faster_among_many",
        "INCONCLUSIVE",
        _timed(lambda _, claims, noise: _among_many(noise) if claims.faster and not claims.quality_lags else []),
    ),
    Rule(
        "open_quality",
        "INCONCLUSIVE",
        _timed(
            lambda case, claims, noise: (
                [speed_words(noise.job, "faster: "), *open_quality_words(case)] if claims.faster else []
            )
        ),
    ),
    Rule("slower", "SLOWER", _timed(_slower)),
    Rule(
        "wide_interval",
        "INCONCLUSIVE",
        _timed(
            lambda case, _, noise: (
                [speed_words(noise.job), blocks_words(blocks_needed(case.evidence.steps, WIDE / 2))]
                if noise.wide and case.evidence.steps
                else []
            )
        ),
    ),
    Rule("untimed_schedule", "INCONCLUSIVE", _timed(_untimed_schedule)),
    Rule("late_schedule", "NO_GAIN", _timed(_late_schedule)),
    Rule("clear_among_many", "INCONCLUSIVE", _timed(lambda _, __, noise: _among_many(noise) if noise.clear else [])),
    Rule("within_noise", "NO_GAIN", _timed(lambda _, __, noise: [speed_words(noise.job, "within noise: ")])),
)
"""In the order of judgement: what disqualifies comes first, then whether it does anything, then how well that is known.
A new rule is a function and a line here; it may look at the evidence and at the records themselves."""
