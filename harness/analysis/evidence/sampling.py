"""What the sampler saw while a contender trained: energy, utilisation, temperature, load."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from harness.errors import RecordError
from harness.measurement.samples import (
    GpuSample,
    HostSample,
    Sample,
    read_samples_csv,
    summarise_gpu,
    summarise_host,
)
from harness.records.store import LoadedTrial
from harness.statistics.estimate import mean_or_none


@dataclass(frozen=True, kw_only=True)
class TrialSamples:
    """The samples of one trial, whole and cut."""

    everything: Sequence[Sample]
    """From the start of the process to its end."""
    training: Sequence[Sample]
    """Between the first step and the last evaluation."""


@dataclass(frozen=True, kw_only=True)
class SamplingSummary:
    """What one contender's samples say, from its first step to its last evaluation, over all seeds."""

    source: str
    """"nvml" or "psutil"."""
    source_reason: str | None
    """Why it was not NVML."""
    samples: int
    errors: int
    """Readings that failed."""
    overhead_share: float
    """Largest share of the elapsed time that a trial's sampler spent in its readings."""
    energy_j: float | None
    """Mean over the seeds; None when it was not measured or can't be trusted."""
    energy_note: str | None
    """Why there is no energy although NVML was there."""
    values: dict[str, float | None] = field(default_factory=dict)
    """The other summaries by name: `mean_…` averaged over the seeds, `max_…` and `min_…` the extremes."""


def read_trial_samples(trial: LoadedTrial) -> TrialSamples:
    """Read the samples of a trial and cut them; RecordError names a missing or damaged file."""
    sampling = trial.record.sampling
    if sampling is None:
        return TrialSamples(everything=[], training=[])
    samples: Sequence[Sample] = read_samples_csv(trial.directory / sampling.file)
    begin_s, end_s = sampling.training_start_s, sampling.training_end_s
    cut = [sample for sample in samples if begin_s <= sample.timestamp_s <= end_s]
    return TrialSamples(everything=samples, training=cut)


def summarise_sampling(trials: Sequence[LoadedTrial]) -> tuple[SamplingSummary | None, list[str]]:
    """Return what the jobs' samples say together, and a line for each file that could not be read."""
    watched = [trial for trial in trials if trial.record.sampling is not None]
    problems: list[str] = []
    summaries: list[Mapping[str, Any]] = []
    for trial in watched:
        try:
            summaries.append(_summarise(read_trial_samples(trial).training))
        except RecordError as error:
            problems.append(error.message)
    records = [trial.record.sampling for trial in watched if trial.record.sampling is not None]
    if not records:
        return None, problems
    merged = SamplingSummary(
        source=records[0].source,
        source_reason=records[0].source_reason,
        samples=sum(int(summary["samples"]) for summary in summaries),
        errors=sum(record.errors for record in records),
        overhead_share=max(record.overhead_share for record in records),
        energy_j=mean_or_none(trusted_energy_j(summary) for summary in summaries),
        energy_note=next((note for note in (summary.get("energy_note") for summary in summaries) if note), None),
        values=_merge(summaries),
    )
    return merged, problems


def trusted_energy_j(summary: Mapping[str, Any]) -> float | None:
    """Return the counter's energy, or else the integrated power; None where the summary says not to trust them."""
    if summary.get("energy_note"):
        return None
    counter_j: float | None = summary.get("energy_counter_j")
    integrated_j: float | None = summary.get("energy_integrated_j")
    return counter_j if counter_j is not None else integrated_j


def _summarise(samples: Sequence[Sample]) -> Mapping[str, Any]:
    if is_gpu(samples):
        return dataclasses.asdict(summarise_gpu(samples))
    if not is_host(samples):
        return {"samples": 0}
    swap_gib = [sample.swap_used_gib for sample in samples if sample.swap_used_gib is not None]
    growth_gib = max(swap_gib) - swap_gib[0] if swap_gib else None
    return {**dataclasses.asdict(summarise_host(samples)), "max_swap_growth_gib": growth_gib}


def is_gpu(samples: Sequence[Sample]) -> TypeGuard[Sequence[GpuSample]]:
    """Whether these are samples of a GPU; no samples are of neither kind."""
    return bool(samples) and isinstance(samples[0], GpuSample)


def is_host(samples: Sequence[Sample]) -> TypeGuard[Sequence[HostSample]]:
    """Whether these are samples of the host."""
    return bool(samples) and isinstance(samples[0], HostSample)


def _merge(summaries: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    names = [
        name
        for name in dict.fromkeys(name for summary in summaries for name in summary)
        if name.startswith(("mean_", "max_", "min_")) or name == "throttled_share"
    ]
    merged: dict[str, float | None] = {}
    for name in names:
        known = [float(value) for value in (summary.get(name) for summary in summaries) if value is not None]
        if not known:
            merged[name] = None
        elif name.startswith("max_"):
            merged[name] = max(known)
        elif name.startswith("min_"):
            merged[name] = min(known)
        else:
            merged[name] = mean_or_none(known)
    return merged
