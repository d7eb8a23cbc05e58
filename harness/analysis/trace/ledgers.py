"""The ledgers of a run's contenders: which trace, held against which unprofiled step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import TYPE_CHECKING

from harness.analysis.trace.ledger import build_ledger
from harness.errors import RecordError

if TYPE_CHECKING:
    from harness.analysis.trace.model import Ledger
    from harness.config import ProfileConfig
    from harness.records.profile import ProfileRecord
    from harness.records.store import LoadedTrial


@dataclass(frozen=True, kw_only=True)
class UsualStep:
    """The unprofiled step that a ledger explains."""

    time_ms: float
    windows: float
    computed_tokens: float


def usual_step(
    done: Sequence[LoadedTrial], reference: Sequence[LoadedTrial], speedup: float | None
) -> UsualStep | None:
    """Return the median step of a contender's jobs (`done`); None without steps.

    Jobs run one after the other, and the machine drifts between them. Where timed segments told how much faster the
    contender trains than the baseline (`speedup`), its step is therefore the baseline's (`reference`) per window,
    divided by that: the ledgers then differ by what the headline says.
    """
    own, baseline = _median_step(done), _median_step(reference)
    if own is None or baseline is None or speedup is None:
        return own
    return replace(own, time_ms=baseline.time_ms * own.windows / baseline.windows / speedup)


def _median_step(trials: Sequence[LoadedTrial]) -> UsualStep | None:
    steps = [step for trial in trials for step in trial.steps]
    if not steps:
        return None
    return UsualStep(
        time_ms=median(step.time_s for step in steps) * 1000.0,
        windows=median(step.windows for step in steps),
        computed_tokens=median(step.computed_tokens for step in steps),
    )


def find_profile(trials: Sequence[LoadedTrial]) -> tuple[LoadedTrial, ProfileRecord] | None:
    """Return the first profiled trial and its record; None without one."""
    records = ((trial, trial.record.profile) for trial in trials if trial.record.kind == "profile")
    return next(((trial, record) for trial, record in records if record is not None), None)


def read_ledger(
    trials: Sequence[LoadedTrial], usual: UsualStep | None, config: ProfileConfig
) -> tuple[Ledger | None, list[str]]:
    """Return the ledger of a contender's profiled run, and in words what could not be read; (None, []) without one.

    The profiled steps had the batches that the job of the same seed had at these steps.
    """
    found = find_profile(trials)
    if found is None:
        return None, []
    profiled, profile = found
    first = config.wait_steps + config.warmup_steps + 1
    numbers = range(first, first + config.active_steps)
    jobs = (trial for trial in trials if trial.record.kind == "job" and trial.record.seed == profiled.record.seed)
    tokens = [step.computed_tokens for job in jobs for step in job.steps if step.step in numbers]
    try:
        ledger = build_ledger(
            profiled.directory / profile.trace_file,
            unprofiled_step_ms=None if usual is None else usual.time_ms,
            windows_per_step=None if usual is None else usual.windows,
            work_ratio=usual.computed_tokens / fmean(tokens) if usual is not None and any(tokens) else 1.0,
        )
    except RecordError as error:
        return None, [error.message]
    steps = profile.active_steps or 1
    faults, system_s = profile.page_faults, profile.system_time_s
    return replace(
        ledger,
        page_faults=None if faults is None else faults / steps,
        system_ms=None if system_s is None else system_s / steps * 1000.0,
    ), []
