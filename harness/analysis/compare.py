"""Two runs side by side: what changed from A to B, and whether a limit was exceeded.

Runs of different times share no blocks, so their times carry the machine's drift: an interval over seeds is all there
is. A limit is exceeded, or kept, where the whole interval says so; else it is undecided.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, variance
from typing import Any

from harness.analysis.evidence.parts import last_score, quality_set_score
from harness.analysis.evidence.quality import paired_differences
from harness.analysis.evidence.trials import Trials, find_state, sort_out
from harness.errors import ConfigError
from harness.records.store import LoadedRun
from harness.records.trial import BASELINE
from harness.statistics.estimate import mean_or_none, signed_words
from harness.statistics.noninferiority import assess
from harness.statistics.paired import CONFIDENCE, combine

SAME_ENVIRONMENT = ("device", "device_name", "cpu", "cpu_cores", "torch_threads")
"""Facts of the hardware that both runs must share."""

SAME = ("task", "model", "data", "training", "baseline", "environment")
"""What both runs must share, in the order in which it is looked at."""

SAME_TRAINING = ("epochs", "max_steps")
"""How long is trained: everything else of a recipe may be what one compares."""

NO_INTERVAL = "one seed or other seeds, so no interval"


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
    undecided: tuple[str, ...]
    """Limits of which the intervals don't tell whether they were, in words."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Run B against run A."""

    a: str
    b: str
    changed: tuple[str, ...]
    """Settings and versions that differ, in words."""
    contenders: tuple[ComparedContender, ...]
    failures: tuple[str, ...]
    """All limits that were exceeded."""
    undecided: tuple[str, ...]
    """All that nothing is decided about; the gate holds if there are neither of them."""


def compare_runs(a: LoadedRun, b: LoadedRun, limits: Limits) -> Comparison:
    """Return what changed; ConfigError names the field in which two runs can't be compared."""
    check_comparable(a, b)
    # Settings of training and of the GPU and versions, of those that both runs recorded.
    facts: list[dict[str, Any]] = []
    for loaded in (a, b):
        training = {f"training.{name}": value for name, value in asdict(loaded.run.config)["training"].items()}
        gpu = {f"GPU {name}": value for name, value in (loaded.run.environment.get("gpu_settings") or {}).items()}
        facts.append({**training, **(_environment(loaded).get("packages") or {}), **gpu})
    changed = [(name, old, facts[1][name]) for name, old in facts[0].items() if name in facts[1]]
    before, after = sort_out(a), sort_out(b)
    contenders = tuple(_compare_contender(before[name], after[name], limits) for name in before if name in after)
    failures = [f"{contender.name}: {text}" for contender in contenders for text in contender.failures]
    if limits.any:
        failures += [f"{name}: B does not have it" for name in before if name not in after]
    undecided = [f"{contender.name}: {text}" for contender in contenders for text in contender.undecided]
    if limits.any and not any(contender.job is not None for contender in contenders):
        undecided.append("nothing that both runs have was measured")
    return Comparison(
        a=a.run.name,
        b=b.run.name,
        changed=tuple(f"{name}: {old} → {new}" for name, old, new in changed if old != new),
        contenders=contenders,
        failures=tuple(failures),
        undecided=tuple(undecided),
    )


def check_comparable(a: LoadedRun, b: LoadedRun) -> None:
    """ConfigError if model, data, length of training or hardware differ, or a baseline is missing."""
    hashes = ("train_sha256", "validation_sha256")
    hashed = all(name in loaded.run.data for loaded in (a, b) for name in hashes)
    sides = []
    for loaded in (a, b):
        if not sort_out(loaded)[BASELINE].done:
            raise ConfigError(f"run {loaded.run.name} has no whole baseline job", remedy="finish that run first")
        side = asdict(loaded.run.config)
        side["data"] = {name: loaded.run.data[name] for name in hashes} if hashed else side["data"]
        side["training"] = {name: side["training"][name] for name in SAME_TRAINING}
        side["environment"] = {name: _environment(loaded).get(name) for name in SAME_ENVIRONMENT}
        sides.append(side)
    for name in SAME:
        _require_same(name, *(side[name] for side in sides))


def _environment(loaded: LoadedRun) -> dict[str, Any]:
    return sort_out(loaded)[BASELINE].jobs[0].environment or loaded.run.environment


def _require_same(what: str, a: Any, b: Any) -> None:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for name in dict.fromkeys([*a, *b]):
            _require_same(f"{what}.{name}", a.get(name), b.get(name))
    elif a != b:
        raise ConfigError(
            f"the runs can't be compared: {what} is {a!r} in A and {b!r} in B",
            remedy="compare runs of the same model, data and hardware",
        )


def _compare_contender(a: Trials, b: Trials, limits: Limits) -> ComparedContender:
    job = _compare_times(*([job.job_time_s for job in trials.timed_jobs] for trials in (a, b)))
    # The mean of each job: epochs of one job are no independent measurements.
    epochs_s = (
        [mean_or_none(epoch.train_time_s for epoch in job.epochs) for job in trials.timed_jobs] for trials in (a, b)
    )
    names = dict.fromkeys(name for job in a.jobs for epoch in job.epochs for name in epoch.scores)
    same_seeds = {job.seed for job in a.jobs} == {job.seed for job in b.jobs}
    # By what the runs' own reports judge: the quality set, where every job of both answered the same one.
    sizes = {len(trial.quality_set) for trial in (*a.done, *b.done)}
    on_quality_set = len(sizes) == 1 and 0 not in sizes
    score = quality_set_score if on_quality_set else last_score
    scores = {}
    for name in names:
        before, after = (mean_or_none(score(job, name) for job in trials.jobs) for trials in (a, b))
        if before is None or after is None:
            continue
        scores[name] = Change(a=before, b=after, change=after - before, low=None, high=None)
        # The interval over seeds and questions, where both answered the same ones.
        differences = paired_differences(name, a.done, b.done, on_quality_set=on_quality_set)
        if differences is not None and differences.shape[1] >= 2 and same_seeds:
            result = assess(differences, margin=1.0, alpha=1.0 - CONFIDENCE)
            scores[name] = Change(a=before, b=after, change=result.difference, low=result.low, high=result.high)
    found = list(_hold(job, scores.get("f1"), limits)) if a.done and b.done else []
    return ComparedContender(
        name=a.name,
        job=job,
        training=_compare_times(*epochs_s),
        scores=scores,
        failures=(*_find_losses(a, b, limits), *(text for shown, text in found if shown)),
        undecided=tuple(text for shown, text in found if not shown),
    )


def _compare_times(a: Sequence[float | None], b: Sequence[float | None]) -> Change | None:
    """Return the slowdown with Welch's t-interval on log times (Welch 1947, Biometrika 34), both runs unpaired."""
    known_a, known_b = ([value for value in times_s if value is not None and value > 0] for times_s in (a, b))
    if not known_a or not known_b:
        return None
    logs_a, logs_b = ([math.log(value) for value in known] for known in (known_a, known_b))
    slowdown = fmean(logs_b) - fmean(logs_a)
    ratio = None
    if len(logs_a) > 1 and len(logs_b) > 1:
        errors = [(math.sqrt(variance(logs) / len(logs)), len(logs) - 1.0) for logs in (logs_a, logs_b)]
        ratio = combine(slowdown, errors, blocks=0)
    return Change(
        a=fmean(known_a),
        b=fmean(known_b),
        change=math.exp(slowdown),
        low=None if ratio is None else ratio.low,
        high=None if ratio is None else ratio.high,
    )


def _find_losses(a: Trials, b: Trials, limits: Limits) -> list[str]:
    """Return in words that B lost a contender; one failed seed is enough, the others must not speak for it."""
    state, reasons = find_state(b)
    if limits.any and state == "failed" and find_state(a)[0] != "failed":
        return [f"it failed in B, in A it did not: {'; '.join(reasons)}"]
    return ["B has no whole job of it, A has"] if limits.any and a.done and not b.done else []


def _hold(job: Change | None, f1: Change | None, limits: Limits) -> Iterator[tuple[bool, str]]:
    """Yield in words each limit that is not shown to be kept, with whether it is shown to be exceeded."""
    if limits.max_slowdown is not None:
        allowed = f"{limits.max_slowdown:g} allowed"
        if job is None:
            yield False, "its job time was not measured in both runs"
        elif job.low is None or job.high is None:
            yield False, f"{job.change:.3f} times the job time, {allowed}; {NO_INTERVAL}"
        elif job.high > limits.max_slowdown:
            interval = f"{job.change:.3f} times the job time ({job.low:.3f} to {job.high:.3f})"
            yield job.low > limits.max_slowdown, f"{interval}, {allowed}"
    if limits.max_f1_loss is not None:
        allowed = f"{limits.max_f1_loss:g} may be lost"
        if f1 is None:
            yield False, "its F1 was not measured in both runs"
        elif f1.low is None or f1.high is None:
            yield False, f"F1 {signed_words(f1.change)} points, {allowed}; {NO_INTERVAL}"
        elif -f1.low > limits.max_f1_loss:
            interval = f"F1 {signed_words(f1.change)} points ({signed_words(f1.low)} to {signed_words(f1.high)})"
            yield -f1.high > limits.max_f1_loss, f"{interval}, {allowed}"
