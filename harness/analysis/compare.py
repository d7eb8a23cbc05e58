"""Two runs side by side: what changed from A to B, and whether a limit was exceeded.

Runs of different times share no blocks, so their times carry the machine's drift: an interval over seeds is all there
is, and a limit is held against the estimate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Any

from scipy import stats

from harness.analysis.evidence.quality import paired_differences
from harness.analysis.evidence.summary import last_quality, mean_or_none
from harness.analysis.evidence.trials import Trials, contender_of, find_state, sort_out
from harness.config import to_dict
from harness.errors import ConfigError
from harness.records.store import LoadedRun
from harness.records.trial import BASELINE, TrialRecord
from harness.statistics.noninferiority import assess

SAME_ENVIRONMENT = ("device", "device_name", "cpu", "cpu_cores", "torch_threads")
"""Facts of the hardware that both runs must share."""

SAME_TRAINING = ("epochs", "max_steps")
"""How long is trained: everything else of a recipe may be what one compares."""

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The gate; None lets anything pass."""

    max_slowdown: float | None = None
    """Factor of the job time, B ÷ A: 1.05 allows 5 % more."""
    max_f1_loss: float | None = None
    """Points of F1 that B may be below A."""

    def __post_init__(self) -> None:
        # "not at least" and not "below", so that NaN, which no number exceeds, is refused too.
        if self.max_slowdown is not None and not self.max_slowdown >= 1.0:
            raise ConfigError(f"max_slowdown is {self.max_slowdown}", remedy="give a factor of at least 1, e.g. 1.05")
        if self.max_f1_loss is not None and not self.max_f1_loss >= 0.0:
            raise ConfigError(f"max_f1_loss is {self.max_f1_loss}", remedy="give 0 points or more")

    @property
    def any(self) -> bool:
        """Whether there is a gate at all."""
        return self.max_slowdown is not None or self.max_f1_loss is not None


@dataclass(frozen=True, kw_only=True)
class Change:
    """One number in both runs."""

    a: float
    """Mean over the seeds."""
    b: float
    change: float
    """B ÷ A of times, B − A of scores."""
    low: float | None
    """95 % interval of the change; None where there is only one seed, or nothing to pair."""
    high: float | None


@dataclass(frozen=True, kw_only=True)
class ComparedContender:
    """One contender in both runs."""

    name: str
    job: Change | None
    """Seconds; the change is a slowdown: above 1 is slower."""
    training: Change | None
    """Seconds of training per epoch."""
    scores: dict[str, Change]
    """By metric, what both runs measured."""
    failures: tuple[str, ...]
    """Limits that were exceeded, in words."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Run B against run A."""

    a: str
    b: str
    changed: tuple[str, ...]
    """Settings and versions that differ, in words."""
    contenders: tuple[ComparedContender, ...]
    failures: tuple[str, ...]
    """All limits that were exceeded; the gate holds if there are none."""


def compare_runs(a: LoadedRun, b: LoadedRun, limits: Limits) -> Comparison:
    """Return what changed; ConfigError names the field in which two runs can't be compared."""
    check_comparable(a, b)
    shared = [name for name in _names(a) if name in _names(b)]
    contenders = tuple(_compare_contender(sort_out(a, name), sort_out(b, name), limits) for name in shared)
    failures = [f"{contender.name}: {text}" for contender in contenders for text in contender.failures]
    if limits.any:
        failures += [f"{name}: B does not have it" for name in _names(a) if name not in shared]
    if limits.any and not any(contender.job is not None for contender in contenders):
        failures.append("nothing that both runs have was measured")
    return Comparison(
        a=a.run.name,
        b=b.run.name,
        changed=tuple(describe_changes(a, b)),
        contenders=contenders,
        failures=tuple(failures),
    )


def _names(loaded: LoadedRun) -> list[str]:
    return list(dict.fromkeys([BASELINE, *(contender_of(folder) for folder in loaded.run.trials)]))


def check_comparable(a: LoadedRun, b: LoadedRun) -> None:
    """ConfigError if model, data, length of training or hardware differ, or a baseline is missing."""
    ours, theirs = to_dict(a.run.config), to_dict(b.run.config)
    for loaded in (a, b):
        if not sort_out(loaded, BASELINE).done:
            raise ConfigError(f"run {loaded.run.name} has no whole baseline job", remedy="finish that run first")
    _require_same("model", ours["model"], theirs["model"])
    _require_same("data", *_data_of(a, b, ours["data"], theirs["data"]))
    for name in SAME_TRAINING:
        _require_same(f"training.{name}", ours["training"][name], theirs["training"][name])
    _require_same("baseline", ours["baseline"], theirs["baseline"])
    for name in SAME_ENVIRONMENT:
        _require_same(f"environment.{name}", _environment(a).get(name), _environment(b).get(name))


def _environment(loaded: LoadedRun) -> dict[str, Any]:
    jobs = sort_out(loaded, BASELINE).jobs
    return jobs[0].environment or loaded.run.environment


def _data_of(a: LoadedRun, b: LoadedRun, ours: Any, theirs: Any) -> tuple[Any, Any]:
    """Return what tells both data sets apart: their hashes where both have them, else their settings."""
    names = ("train_sha256", "validation_sha256")
    if all(name in loaded.run.data for loaded in (a, b) for name in names):
        return tuple({name: loaded.run.data[name] for name in names} for loaded in (a, b))  # type: ignore[return-value]
    return ours, theirs


def _require_same(what: str, ours: Any, theirs: Any) -> None:
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for name in dict.fromkeys([*ours, *theirs]):
            _require_same(f"{what}.{name}", ours.get(name), theirs.get(name))
    elif ours != theirs:
        raise ConfigError(
            f"the runs can't be compared: {what} is {ours!r} in A and {theirs!r} in B",
            remedy="compare runs of the same model, data and hardware",
        )


def describe_changes(a: LoadedRun, b: LoadedRun) -> list[str]:
    """Return the settings of training and of the GPU and the versions that differ, of those that both runs recorded."""
    ours, theirs = to_dict(a.run.config)["training"], to_dict(b.run.config)["training"]
    pairs = [(f"training.{name}", ours[name], theirs[name]) for name in ours]
    packages, others = (_environment(loaded).get("packages") or {} for loaded in (a, b))
    pairs += [(name, packages[name], others[name]) for name in packages if name in others]
    gpu, other_gpu = (loaded.run.environment.get("gpu_settings") or {} for loaded in (a, b))
    pairs += [(f"GPU {name}", gpu[name], other_gpu[name]) for name in gpu if name in other_gpu]
    return [f"{name}: {before} → {after}" for name, before, after in pairs if before != after]


def _compare_contender(ours: Trials, theirs: Trials, limits: Limits) -> ComparedContender:
    job = _compare_times([job.job_time_s for job in ours.jobs], [job.job_time_s for job in theirs.jobs])
    names = dict.fromkeys(name for job in ours.jobs for epoch in job.epochs for name in epoch.scores)
    scores = {name: change for name in names if (change := _compare_quality(name, ours, theirs)) is not None}
    return ComparedContender(
        name=ours.name,
        job=job,
        training=_compare_times(_epoch_times(ours.jobs), _epoch_times(theirs.jobs)),
        scores=scores,
        failures=tuple(_find_failures(ours, theirs, job, scores.get("f1"), limits)),
    )


def _epoch_times(jobs: Sequence[TrialRecord]) -> list[float | None]:
    """Return each job's mean training time per epoch: epochs of one job are no independent measurements."""
    return [mean_or_none(epoch.train_time_s for epoch in job.epochs) for job in jobs]


def _compare_times(ours: Sequence[float | None], theirs: Sequence[float | None]) -> Change | None:
    """Return the slowdown with Welch's t-interval on log times (Welch 1947, Biometrika 34), both runs unpaired."""
    first = [value for value in ours if value is not None and value > 0]
    second = [value for value in theirs if value is not None and value > 0]
    if not first or not second:
        return None
    logs, other_logs = [math.log(value) for value in first], [math.log(value) for value in second]
    ratio = fmean(other_logs) - fmean(logs)
    half = None if len(first) < 2 or len(second) < 2 else _welch_half_width(logs, other_logs)
    return Change(
        a=fmean(first),
        b=fmean(second),
        change=math.exp(ratio),
        low=None if half is None else math.exp(ratio - half),
        high=None if half is None else math.exp(ratio + half),
    )


def _welch_half_width(first: Sequence[float], second: Sequence[float]) -> float:
    parts = [(variance(values) / len(values), len(values) - 1) for values in (first, second)]
    total = sum(part for part, _ in parts)
    if total == 0.0:
        return 0.0
    degrees = total**2 / sum(part**2 / freedom for part, freedom in parts)
    return float(stats.t.ppf(0.5 + CONFIDENCE / 2, degrees)) * math.sqrt(total)


def _compare_quality(name: str, ours: Trials, theirs: Trials) -> Change | None:
    """Return B − A, with the interval over seeds and questions where both answered the same ones."""
    first, second = (mean_or_none(last_quality(job, name) for job in trials.jobs) for trials in (ours, theirs))
    if first is None or second is None:
        return None
    differences = paired_differences(name, ours.done, theirs.done)
    same_seeds = {job.seed for job in ours.jobs} == {job.seed for job in theirs.jobs}
    if differences is None or differences.shape[1] < 2 or not same_seeds:
        return Change(a=first, b=second, change=second - first, low=None, high=None)
    result = assess(differences, margin=1.0, alpha=1.0 - CONFIDENCE)
    return Change(a=first, b=second, change=result.difference, low=result.low, high=result.high)


def _find_failures(ours: Trials, theirs: Trials, job: Change | None, f1: Change | None, limits: Limits) -> list[str]:
    both_done = bool(ours.done and theirs.done)
    failures = _outcome_failures(ours, theirs) if limits.any else []
    if limits.max_slowdown is not None and job is not None and job.change > limits.max_slowdown:
        sure = job.low is not None and job.low > 1.0
        failures.append(
            f"{job.change:.3f} times the job time, {limits.max_slowdown:g} allowed ({_sureness(sure, job.low)})"
        )
    if limits.max_slowdown is not None and job is None and both_done:
        failures.append("its job time was not measured in both runs")
    if limits.max_f1_loss is not None and f1 is not None and -f1.change > limits.max_f1_loss:
        sure = f1.high is not None and f1.high < 0.0
        failures.append(f"F1 {f1.change:+.1f} points, {limits.max_f1_loss:g} may be lost ({_sureness(sure, f1.low)})")
    if limits.max_f1_loss is not None and f1 is None and both_done:
        failures.append("its F1 was not measured in both runs")
    return failures


def _outcome_failures(ours: Trials, theirs: Trials) -> list[str]:
    """Return that it ended worse in B: one failed seed is enough, the others must not speak for it."""
    state, _, reasons = find_state(theirs)
    if state == "failed" and find_state(ours)[0] != "failed":
        return [f"it failed in B, in A it did not: {'; '.join(reasons)}"]
    return ["B has no whole job of it, A has"] if ours.done and not theirs.done else []


def _sureness(sure: bool, low: float | None) -> str:
    if low is None:
        return "one seed, no interval: measure with more"
    return "beyond noise" if sure else "within noise: measure with more seeds"
