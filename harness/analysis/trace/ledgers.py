"""The ledgers of a run's contenders: which trace, held against which unprofiled step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import TYPE_CHECKING

from harness.analysis.trace.ledger import build_ledger
from harness.analysis.trace.waterfall import make_waterfall
from harness.errors import RecordError

if TYPE_CHECKING:
    from harness.analysis.evidence.speed import SpeedEvidence
    from harness.analysis.model import ContenderAnalysis
    from harness.analysis.trace.model import Ledger
    from harness.config import ProfileConfig
    from harness.records.store import LoadedTrial


@dataclass(frozen=True, kw_only=True)
class UsualStep:
    """The unprofiled step that a ledger explains."""

    time_ms: float
    windows: float
    computed_tokens: float


def usual_step(
    done: Sequence[LoadedTrial], reference: Sequence[LoadedTrial], speed: SpeedEvidence | None
) -> UsualStep | None:
    """Return the median step of a contender's jobs (`done`); None without steps.

    Jobs run one after the other, and the machine drifts between them. Where timed segments (`speed`) told how much
    faster the contender trains than the baseline, its step is therefore the baseline's (`reference`) per window,
    divided by that speedup: the ledgers then differ by what the headline says.
    """
    own, baseline = _median_step(done), _median_step(reference)
    if own is None or baseline is None or speed is None or speed.training is None:
        return own
    time_ms = baseline.time_ms * own.windows / baseline.windows / speed.training.estimate
    return replace(own, time_ms=time_ms)


def _median_step(trials: Sequence[LoadedTrial]) -> UsualStep | None:
    steps = [step for trial in trials for step in trial.steps]
    if not steps:
        return None
    return UsualStep(
        time_ms=median(step.time_s for step in steps) * 1000.0,
        windows=median(step.windows for step in steps),
        computed_tokens=median(step.computed_tokens for step in steps),
    )


def read_ledger(
    trials: Sequence[LoadedTrial], usual: UsualStep | None, config: ProfileConfig
) -> tuple[Ledger | None, list[str]]:
    """Return the ledger of a contender's profiled run, and in words what could not be read; (None, []) without one.

    The profiled steps had the batches that the job of the same seed had at these steps.
    """
    profiled = next((trial for trial in trials if trial.record.kind == "profile" and trial.record.profile), None)
    if profiled is None or profiled.record.profile is None:
        return None, []
    first = config.wait_steps + config.warmup_steps + 1
    numbers = range(first, first + config.active_steps)
    jobs = (trial for trial in trials if trial.record.kind == "job" and trial.record.seed == profiled.record.seed)
    tokens = [step.computed_tokens for job in jobs for step in job.steps if step.step in numbers]
    try:
        ledger = build_ledger(
            profiled.directory / profiled.record.profile.trace_file,
            unprofiled_step_ms=None if usual is None else usual.time_ms,
            windows_per_step=None if usual is None else usual.windows,
            work_ratio=usual.computed_tokens / fmean(tokens) if usual is not None and any(tokens) else 1.0,
        )
    except RecordError as error:
        return None, [error.message]
    return ledger, []


def with_waterfalls(contenders: Sequence[ContenderAnalysis]) -> tuple[ContenderAnalysis, ...]:
    """Return the contenders with their waterfalls from the first one, the baseline."""
    baseline, *others = contenders
    return (baseline, *(replace(one, waterfall=make_waterfall(baseline.ledger, one.ledger)) for one in others))
