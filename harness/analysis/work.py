"""Was it the same work? A contender that did less is not faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.statistics import Pair
from harness.records import WorkRecord

NEW_SCHEDULE = "NEW_SCHEDULE"
"""The effect of a strategy that makes other updates on purpose (`harness.strategy.Effect`, by name)."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """The work of a contender's first measured seed, and how it differs from the baseline's over all seeds."""

    updates: int
    updates_applied: int
    """Updates that changed the parameters."""
    windows: int
    useful_tokens: int
    computed_tokens: int
    order_sha256: str
    learning_rate_sha256: str
    equal: bool | None
    """Whether there are no differences; None when there is no baseline to compare with."""
    differences: tuple[str, ...]
    """In words; each one spoils the comparison."""
    expected: tuple[str, ...]
    """In words; differences that the strategy announces (a new schedule makes other updates)."""


def compare_work(records: Sequence[WorkRecord], pairs: Sequence[Pair], effects: Sequence[str]) -> Work | None:
    """Return the work of the contender beside the baseline's; None if no job of the contender recorded any."""
    if not records:
        return None
    differences: dict[str, None] = {}
    expected: dict[str, None] = {}
    compared = False
    for baseline, contender in pairs:
        if baseline.work is None or contender.work is None:
            continue
        compared = True
        spoiling, announced = _differences(baseline.work, contender.work, new_schedule=NEW_SCHEDULE in effects)
        differences |= dict.fromkeys(spoiling)
        expected |= dict.fromkeys(announced)
    first = records[0]
    return Work(
        updates=first.updates,
        updates_applied=first.updates_applied,
        windows=first.windows,
        useful_tokens=first.useful_tokens,
        computed_tokens=first.computed_tokens,
        order_sha256=first.order_sha256,
        learning_rate_sha256=first.learning_rate_sha256,
        equal=not differences if compared else None,
        differences=tuple(differences),
        expected=tuple(expected),
    )


def _differences(baseline: WorkRecord, contender: WorkRecord, *, new_schedule: bool) -> tuple[list[str], list[str]]:
    """Return what spoils the comparison, and what a new schedule is expected to change."""
    spoiling: list[str] = []
    if contender.windows != baseline.windows:
        spoiling.append(f"trained on {contender.windows:,} windows, the baseline on {baseline.windows:,}")
    if contender.useful_tokens != baseline.useful_tokens:
        tokens = f"{contender.useful_tokens:,} useful tokens, the baseline on {baseline.useful_tokens:,}"
        spoiling.append(f"trained on {tokens}")
    lost, lost_by_baseline = (work.updates - work.updates_applied for work in (contender, baseline))
    if lost != lost_by_baseline:
        spoiling.append(
            f"{contender.updates_applied} of {contender.updates} updates changed the parameters, "
            f"of the baseline's {baseline.updates_applied} of {baseline.updates}"
        )
    schedule = []
    if contender.updates != baseline.updates:
        schedule.append(f"{contender.updates} updates, the baseline made {baseline.updates}")
    if contender.order_sha256 != baseline.order_sha256:
        schedule.append("saw the windows in another order")
    if contender.learning_rate_sha256 != baseline.learning_rate_sha256:
        schedule.append("other learning rates")
    return (spoiling, schedule) if new_schedule else (spoiling + schedule, [])
