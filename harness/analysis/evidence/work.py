"""Was it the same work? A contender that did less is not faster."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from harness.records.strategy import NEW_MODEL, NEW_SCHEDULE

if TYPE_CHECKING:
    from harness.records.store import LoadedTrial
    from harness.records.trial import StepRecord, TrialRecord, WorkRecord

GRADIENT_NORM_FACTOR = 1.5
"""The median ratio of both gradient norms, step by step, stays within this factor if both train on the same."""

CLOCK_ERROR_S = 0.1
"""Difference between a worker's clock and the parent's over a job that may be the pipe's."""

CLOCK_ERROR_SHARE = 0.01


@dataclass(frozen=True, kw_only=True)
class Work:
    """The work of a contender's first measured seed, and how it differs from the baseline's over all seeds."""

    updates: int
    updates_applied: int
    """Updates that changed the parameters."""
    windows: int
    useful_tokens: int
    computed_tokens: int
    trained_parameters: int
    """Elements of the tensors that training changed."""
    total_parameters: int
    order_sha256: str
    learning_rate_sha256: str
    gradient_norm_ratio: float | None
    """Contender ÷ baseline, median over the steps of all seeds; None without a baseline or with other steps."""
    equal: bool | None
    """Whether there are no differences; None when there is no baseline to compare with."""
    differences: tuple[str, ...]
    """In words; each one spoils the comparison."""
    expected: tuple[str, ...]
    """In words; differences that the strategy announces (a new schedule makes other updates)."""


def compare_work(
    baseline: Sequence[LoadedTrial], contender: Sequence[LoadedTrial], effects: Sequence[str]
) -> Work | None:
    """Return the work of the contender's jobs beside the baseline's of the same seeds; None if it recorded none.

    `effects` are those that its strategies announce.
    """
    records = [trial.record.work for trial in contender if trial.record.work is not None]
    if not records:
        return None
    partners = {trial.record.seed: trial for trial in contender if trial.record.work is not None}
    pairs = [
        (trial, partners[trial.record.seed])
        for trial in baseline
        if trial.record.seed in partners and trial.record.work is not None
    ]
    found = [difference for pair in pairs for difference in _differences(*pair)]
    differences = dict.fromkeys(text for text, announcing in found if not announcing & set(effects))
    expected = dict.fromkeys(text for text, announcing in found if announcing & set(effects))
    first = records[0]
    return Work(
        updates=first.updates,
        updates_applied=first.updates_applied,
        windows=first.windows,
        useful_tokens=first.useful_tokens,
        computed_tokens=first.computed_tokens,
        trained_parameters=first.trained_parameters,
        total_parameters=first.total_parameters,
        order_sha256=first.order_sha256,
        learning_rate_sha256=first.learning_rate_sha256,
        gradient_norm_ratio=_gradient_norm_ratio(pairs),
        equal=not differences if pairs else None,
        differences=tuple(differences),
        expected=tuple(expected),
    )


def _differences(baseline: LoadedTrial, contender: LoadedTrial) -> Iterator[tuple[str, set[str]]]:
    """Yield each difference in words, and the effects that announce it."""
    before, after = baseline.record.work, contender.record.work
    if before is None or after is None:
        return
    steps = zip(baseline.steps, contender.steps, strict=False)
    for text in _schedule_differences(before, after, steps):
        yield text, {NEW_SCHEDULE}
    shares = [work.trained_parameters / max(1, work.total_parameters) for work in (before, after)]
    if shares[1] < shares[0] or after.total_parameters != before.total_parameters:
        names = [name for name in after.untrained_tensors if name not in before.untrained_tensors]
        example = f" ({names[0]} and {len(names) - 1} more tensors did not change)" if len(names) > 1 else ""
        words = (
            f"trained {after.trained_parameters:,} of {after.total_parameters:,} parameters, the baseline "
            f"{before.trained_parameters:,} of {before.total_parameters:,}{example}"
        )
        yield words, {NEW_MODEL}
    ratio = _gradient_norm_ratio([(baseline, contender)])
    if ratio is not None and not 1 / GRADIENT_NORM_FACTOR <= ratio <= GRADIENT_NORM_FACTOR:
        words = f"gradient norms were {ratio:.2g} times the baseline's (median over the steps)"
        yield words, {NEW_SCHEDULE, NEW_MODEL}


def _schedule_differences(
    baseline: WorkRecord, contender: WorkRecord, steps: Iterable[tuple[StepRecord, StepRecord]]
) -> Iterator[str]:
    if contender.windows != baseline.windows:
        yield f"trained on {contender.windows:,} windows, the baseline on {baseline.windows:,}"
    if contender.useful_tokens != baseline.useful_tokens:
        yield f"trained on {contender.useful_tokens:,} useful tokens, the baseline on {baseline.useful_tokens:,}"
    elif contender.token_id_sum != baseline.token_id_sum:
        yield "trained on other text than the baseline: the sums of the token numbers differ"
    lost, lost_by_baseline = (work.updates - work.updates_applied for work in (contender, baseline))
    if lost != lost_by_baseline:
        yield (
            f"{contender.updates_applied} of {contender.updates} updates changed the parameters, "
            f"of the baseline's {baseline.updates_applied} of {baseline.updates}"
        )
    if contender.updates != baseline.updates:
        yield f"{contender.updates} updates, the baseline made {baseline.updates}"
    if contender.order_sha256 != baseline.order_sha256:
        yield "saw the windows in another order"
    if contender.learning_rate_sha256 != baseline.learning_rate_sha256:
        others = (
            f"other learning rates: {second.learning_rate:.3g} at step {second.step}, "
            f"the baseline's was {first.learning_rate:.3g}"
            for first, second in steps
            if not math.isclose(first.learning_rate, second.learning_rate, rel_tol=1e-9, abs_tol=0.0)
        )
        yield next(others, "other learning rates")


def _gradient_norm_ratio(pairs: Sequence[tuple[LoadedTrial, LoadedTrial]]) -> float | None:
    """Return the median of contender ÷ baseline over all steps that both have; None if their steps differ in number."""
    if not pairs or any(len(baseline.steps) != len(contender.steps) for baseline, contender in pairs):
        return None
    ratios = [
        second.gradient_norm / first.gradient_norm
        for baseline, contender in pairs
        for first, second in zip(baseline.steps, contender.steps, strict=True)
        if first.gradient_norm > 0 and math.isfinite(first.gradient_norm) and math.isfinite(second.gradient_norm)
    ]
    return median(ratios) if ratios else None


def clock_problem(job: TrialRecord) -> str | None:
    """Return in words how the clock of a job's process went wrong; None if it did not."""
    if job.clock_error_s is None or job.job_time_s is None:
        return None
    if abs(job.clock_error_s) <= CLOCK_ERROR_S + CLOCK_ERROR_SHARE * job.job_time_s:
        return None
    return (
        f"the clock in its process runs wrong: over a job of {job.job_time_s:.1f} s by its own account it was off by "
        f"{job.clock_error_s:+.1f} s"
    )
