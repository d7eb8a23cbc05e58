"""Was it the same work? A contender that did less is not faster."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from harness.records.store import LoadedTrial
from harness.records.trial import StepRecord, WorkRecord

NEW_SCHEDULE = "NEW_SCHEDULE"
"""The effect of a strategy that makes other updates on purpose (`harness.strategy.Effect`, by name)."""

NEW_MODEL = "NEW_MODEL"
"""The effect of a strategy that trains another model, and so other parameters, on purpose."""

GRADIENT_NORM_FACTOR = 1.5
"""The median ratio of both gradient norms, step by step, stays within this factor if both train on the same."""

LoadedPair = tuple[LoadedTrial, LoadedTrial]
"""The baseline's job and the contender's of one seed."""


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


def compare_work(trials: Sequence[LoadedTrial], pairs: Sequence[LoadedPair], effects: Sequence[str]) -> Work | None:
    """Return the work of the contender beside the baseline's; None if no job of the contender recorded any."""
    records = [trial.record.work for trial in trials if trial.record.work is not None]
    if not records:
        return None
    differences: dict[str, None] = {}
    expected: dict[str, None] = {}
    compared = [pair for pair in pairs if pair[0].record.work is not None and pair[1].record.work is not None]
    for pair in compared:
        spoiling, announced = _differences(pair, effects)
        differences |= dict.fromkeys(spoiling)
        expected |= dict.fromkeys(announced)
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
        gradient_norm_ratio=gradient_norm_ratio(compared),
        equal=not differences if compared else None,
        differences=tuple(differences),
        expected=tuple(expected),
    )


def _differences(pair: LoadedPair, effects: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return what spoils the comparison, and what the strategy announces to change."""
    baseline, contender = pair[0].record.work, pair[1].record.work
    if baseline is None or contender is None:
        return [], []
    schedule = [
        *_amount_differences(baseline, contender),
        *_schedule_differences(baseline, contender, pair[0].steps, pair[1].steps),
    ]
    groups = (
        (schedule, (NEW_SCHEDULE,)),
        (_parameter_differences(baseline, contender), (NEW_MODEL,)),
        (_gradient_differences(pair), (NEW_SCHEDULE, NEW_MODEL)),
    )
    spoiling = [text for found, announcing in groups for text in found if not set(announcing) & set(effects)]
    announced = [text for found, announcing in groups for text in found if set(announcing) & set(effects)]
    return spoiling, announced


def _gradient_differences(pair: LoadedPair) -> list[str]:
    ratio = gradient_norm_ratio([pair])
    if ratio is None or 1 / GRADIENT_NORM_FACTOR <= ratio <= GRADIENT_NORM_FACTOR:
        return []
    return [f"gradient norms were {ratio:.2g} times the baseline's (median over the steps)"]


def _amount_differences(baseline: WorkRecord, contender: WorkRecord) -> list[str]:
    found = []
    if contender.windows != baseline.windows:
        found.append(f"trained on {contender.windows:,} windows, the baseline on {baseline.windows:,}")
    if contender.useful_tokens != baseline.useful_tokens:
        tokens = f"{contender.useful_tokens:,} useful tokens, the baseline on {baseline.useful_tokens:,}"
        found.append(f"trained on {tokens}")
    elif contender.token_id_sum != baseline.token_id_sum:
        found.append("trained on other text than the baseline: the sums of the token numbers differ")
    lost, lost_by_baseline = (work.updates - work.updates_applied for work in (contender, baseline))
    if lost != lost_by_baseline:
        found.append(
            f"{contender.updates_applied} of {contender.updates} updates changed the parameters, "
            f"of the baseline's {baseline.updates_applied} of {baseline.updates}"
        )
    return found


def _schedule_differences(
    baseline: WorkRecord, contender: WorkRecord, ours: Sequence[StepRecord], theirs: Sequence[StepRecord]
) -> list[str]:
    found = []
    if contender.updates != baseline.updates:
        found.append(f"{contender.updates} updates, the baseline made {baseline.updates}")
    if contender.order_sha256 != baseline.order_sha256:
        found.append("saw the windows in another order")
    if contender.learning_rate_sha256 != baseline.learning_rate_sha256:
        found.append(_learning_rate_words(ours, theirs))
    return found


def _learning_rate_words(ours: Sequence[StepRecord], theirs: Sequence[StepRecord]) -> str:
    for first, second in zip(ours, theirs, strict=False):
        if not math.isclose(first.learning_rate, second.learning_rate, rel_tol=1e-9, abs_tol=0.0):
            return (
                f"other learning rates: {second.learning_rate:.3g} at step {second.step}, "
                f"the baseline's was {first.learning_rate:.3g}"
            )
    return "other learning rates"


def _parameter_differences(baseline: WorkRecord, contender: WorkRecord) -> list[str]:
    ours = baseline.trained_parameters / max(1, baseline.total_parameters)
    theirs = contender.trained_parameters / max(1, contender.total_parameters)
    if theirs >= ours and contender.total_parameters == baseline.total_parameters:
        return []
    names = [name for name in contender.untrained_tensors if name not in baseline.untrained_tensors]
    example = f" ({names[0]} and {len(names) - 1} more tensors did not change)" if len(names) > 1 else ""
    return [
        f"trained {contender.trained_parameters:,} of {contender.total_parameters:,} parameters, the baseline "
        f"{baseline.trained_parameters:,} of {baseline.total_parameters:,}{example}"
    ]


def gradient_norm_ratio(pairs: Sequence[LoadedPair]) -> float | None:
    """Return the median of contender ÷ baseline over all steps that both have; None if their steps differ in number."""
    if not pairs or any(len(ours.steps) != len(theirs.steps) for ours, theirs in pairs):
        return None
    ratios = [
        second.gradient_norm / first.gradient_norm
        for ours, theirs in pairs
        for first, second in zip(ours.steps, theirs.steps, strict=True)
        if first.gradient_norm > 0 and math.isfinite(first.gradient_norm) and math.isfinite(second.gradient_norm)
    ]
    return median(ratios) if ratios else None
