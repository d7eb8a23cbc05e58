"""The ledgers of a run's contenders: which trace, held against which unprofiled step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from harness.analysis.evidence.speed import SpeedEvidence
from harness.analysis.model import ContenderAnalysis
from harness.analysis.trace.ledger import build_ledger
from harness.analysis.trace.model import Ledger
from harness.analysis.trace.waterfall import make_waterfall
from harness.config import ProfileConfig
from harness.errors import RecordError
from harness.records.store import LoadedTrial
from harness.records.trial import StepRecord


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
    """Return the ledger of a contender's profiled run, and in words what could not be read; (None, []) without one."""
    for trial in trials:
        profile = trial.record.profile
        if trial.record.kind != "profile" or profile is None:
            continue
        profiled = _profiled_steps(trials, trial.record.seed, config)
        try:
            ledger = build_ledger(
                trial.directory / profile.trace_file,
                unprofiled_step_ms=None if usual is None else usual.time_ms,
                windows_per_step=None if usual is None else usual.windows,
                work_ratio=_work_ratio(usual, profiled),
            )
        except RecordError as error:
            return None, [error.message]
        return ledger, []
    return None, []


def _profiled_steps(trials: Sequence[LoadedTrial], seed: int, config: ProfileConfig) -> list[StepRecord]:
    """Return the steps of the job of the same seed that had the batches of the profiled ones."""
    first = config.wait_steps + config.warmup_steps + 1
    numbers = range(first, first + config.active_steps)
    jobs = (trial for trial in trials if trial.record.kind == "job" and trial.record.seed == seed)
    return [step for job in jobs for step in job.steps if step.step in numbers]


def _work_ratio(usual: UsualStep | None, profiled: Sequence[StepRecord]) -> float:
    tokens = fmean(step.computed_tokens for step in profiled) if profiled else 0.0
    return usual.computed_tokens / tokens if usual is not None and tokens > 0 else 1.0


def with_waterfalls(contenders: Sequence[ContenderAnalysis]) -> tuple[ContenderAnalysis, ...]:
    """Return the contenders with their waterfalls from the first one, the baseline."""
    baseline = contenders[0]
    return (baseline, *(_with_waterfall(baseline, contender) for contender in contenders[1:]))


def _with_waterfall(baseline: ContenderAnalysis, contender: ContenderAnalysis) -> ContenderAnalysis:
    if baseline.ledger is None or contender.ledger is None:
        return contender
    return replace(contender, waterfall=make_waterfall(baseline.ledger, contender.ledger))
