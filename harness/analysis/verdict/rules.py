"""One verdict for each contender, with its reasons, from all the evidence there is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from harness.analysis.evidence.gather import Case
from harness.analysis.evidence.sameness import evaluation_problem
from harness.analysis.evidence.speed import segment_difference
from harness.analysis.evidence.work import clock_problem
from harness.analysis.verdict.claims import BeyondNoise, Claims, is_late, settle_claims
from harness.analysis.verdict.reason import Quality, Reason, Speed, Verdict, Words
from harness.analysis.verdict.settle import settle_jobs, settle_speed
from harness.analysis.verdict.unmeasured import why_not_measured
from harness.analysis.verdict.words import (
    no_gain_words,
    open_quality_words,
    quality_words,
    score_numbers,
    scores_of,
    speed_words,
    unclear_words,
)
from harness.records.strategy import NEW_SCHEDULE
from harness.records.tolerances import FULL_PRECISION
from harness.statistics.estimate import ratio_words, signed_words

JOBS_DISAGREE = 1.25
"""Factor between the jobs as they ran and the speedup put together from segments beyond which the two contradict."""

TOLD_AUDITS = 2
"""Audited steps that are told one by one."""

Said = Iterable[Words]
"""Nothing where the rule does not apply."""

Look = Callable[[Case, Claims], Said]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict and why."""

    verdict: Verdict
    speed: Speed | None
    """None where it was not measured, or where it does not matter how fast something else is."""
    quality: Quality | None
    """None where there is nothing to compare: the work was not the same."""
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
        speed, quality = _parts_of(rule, claims)
        judged[name] = Judgement(verdict=rule.verdict, speed=speed, quality=quality, reasons=tuple(reasons))
    return judged


def _parts_of(rule: Rule, claims: Claims) -> tuple[Speed | None, Quality | None]:
    """Return the words for speed and quality that a verdict leaves."""
    if rule.verdict == "REJECTED" and claims.quality != "WORSE":
        return None, None
    if rule.verdict in ("INERT", "NOT_MEASURED"):
        return None, claims.quality
    return ("UNCLEAR" if rule.verdict == "UNCLEAR" else claims.speed), claims.quality


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


def _audited(case: Case, _: Claims) -> Said:
    """Tell which audited steps are not the reference's, the first ones in full."""
    audits = case.evidence.audits
    problems = () if audits is None else audits.problems
    perturbation = case.evidence.perturbation
    if perturbation is not None and perturbation.fault is not None:
        problems = (perturbation.fault, *problems)
    for problem in problems[:TOLD_AUDITS]:
        yield Words(problem)
    if audits is not None and len(problems) > TOLD_AUDITS:
        wrong = len(audits.problems)
        numbers = {"audits": audits.audits, "wrong": wrong}
        yield Words(f"so it is with {wrong} of {audits.audits} audited steps", numbers)


def _worse_quality(case: Case, claims: Claims) -> Said:
    scores = scores_of(case) if claims.quality == "WORSE" else {}
    least = min((value.p_inferior for value in scores.values()), default=None)
    for metric, value in scores.items():
        if value.p_inferior == least:
            interval = f"{signed_words(value.low)} to {signed_words(value.high)}"
            change = f"{signed_words(value.difference)} points ({interval})"
            yield Words(
                f"{metric.title} is worse: {change}, {value.margin:g} may be lost", score_numbers({metric: value})
            )


def _timed(look: Callable[[Case, Claims, BeyondNoise], Said]) -> Look:
    """Return a look at a job whose speed was measured; rules before it see to that."""
    return lambda case, claims: [] if claims.noise is None else look(case, claims, claims.noise)


def _contradiction(_: Case, claims: Claims, noise: BeyondNoise) -> Said:
    """Tell that what was timed is not what the jobs did."""
    job, told = noise.job, "segments and jobs contradict each other"
    if job.contradictions:
        yield Words(f"{told}: {'; '.join(job.contradictions)}")
        yield from settle_jobs(claims)
    elif job.as_run is not None:
        segments, as_run = job.ratio.estimate, job.as_run.estimate
        opposite = (as_run - 1.0) * (segments - 1.0) < 0
        if opposite and not 1 / JOBS_DISAGREE <= as_run / segments <= JOBS_DISAGREE:
            text = f"{told}: {segments:.2f}× by segments, {as_run:.2f}× as the jobs ran"
            yield Words(text, {"segments": segments, "as_run": as_run})
            yield from settle_jobs(claims)


def _accepted(case: Case, claims: Claims, noise: BeyondNoise) -> Said:
    if claims.accepted:
        yield speed_words(noise, "faster: ")
        yield from quality_words(case)


def _open_quality(case: Case, claims: Claims, noise: BeyondNoise) -> Said:
    if claims.speed == "FASTER":
        yield speed_words(noise, "faster: ")
        yield from open_quality_words(case, claims)


def _slower(case: Case, claims: Claims, noise: BeyondNoise) -> Said:
    if claims.speed != "SLOWER":
        return
    yield speed_words(noise, "slower: ")
    steps = case.evidence.steps
    if steps is not None and steps.low > 1.0:
        told = ratio_words(steps.estimate, steps.low, steps.high)
        yield Words(
            f"its steps alone are {told}: this job is too short to earn its warm-up back",
            {"step_speedup": steps.estimate, "low": steps.low, "high": steps.high},
        )


def _late_schedule(case: Case, claims: Claims, noise: BeyondNoise) -> Said:
    time, title = case.evidence.time_to_score, case.reference.run.scoring.headline_title
    if is_late(case) and time is not None and time.contender_s is not None and time.baseline_s is not None:
        yield speed_words(noise)
        late = f"it reaches the baseline's {title} after {time.contender_s:.1f} s, the baseline after"
        yield Words(
            f"{late} {time.baseline_s:.1f} s: of another schedule that is what counts, and it has no interval",
            {"contender_s": time.contender_s, "baseline_s": time.baseline_s},
        )
        yield from settle_jobs(claims)


def _among_many(_: Case, claims: Claims, noise: BeyondNoise) -> Said:
    """Tell that a speed would be clear if there were no other contenders."""
    if noise.clear:
        yield speed_words(noise)
        yield Words(f"not yet clear among {claims.contenders} contenders, which are corrected for together")
        yield from settle_speed(noise, claims)


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
    Rule("audit", "REJECTED", _audited),
    Rule("worse_quality", "REJECTED", _worse_quality),
    Rule(
        "inert",
        "INERT",
        lambda case, _: (
            [Words("it changed nothing that runs: the same operators, dtypes, weights' layout, host code and settings")]
            if case.evidence.footprint is not None and case.evidence.footprint.inert and not case.evidence.phases
            else []
        ),
    ),
    Rule("not_measured", "NOT_MEASURED", lambda case, _: why_not_measured(case)),
    Rule("contradiction", "UNCLEAR", _timed(_contradiction)),
    Rule("faster", "ACCEPTED", _timed(_accepted)),
    Rule("open_quality", "FASTER", _timed(_open_quality)),
    Rule("slower", "SLOWER", _timed(_slower)),
    Rule(
        "too_little",
        "NO_GAIN",
        _timed(lambda _, claims, noise: [no_gain_words(noise)] if claims.speed == "NO_GAIN" else []),
    ),
    Rule("late_schedule", "UNCLEAR", _timed(_late_schedule)),
    Rule("clear_among_many", "UNCLEAR", _timed(_among_many)),
    Rule("unclear", "UNCLEAR", _timed(lambda _, claims, noise: [unclear_words(noise), *settle_speed(noise, claims)])),
)
"""In the order of judgement: what disqualifies comes first, then whether it does anything, then how well that is known.
A new rule is a function and a line here; it may look at the evidence and at the records themselves."""
