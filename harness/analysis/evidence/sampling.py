"""What the sampler saw while a contender trained: energy, utilisation, temperature, load."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.errors import RecordError
from harness.measurement.energy import energy_note, integrate_w
from harness.measurement.metrics import METRICS, Metric
from harness.measurement.samples import Sample, known_values, read_samples_csv
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
    """The summaries of `METRICS` by name."""


def read_trial_samples(trial: LoadedTrial) -> TrialSamples:
    """Read the samples of a trial and cut them; RecordError names a missing or damaged file."""
    sampling = trial.record.sampling
    if sampling is None:
        return TrialSamples(everything=[], training=[])
    samples = read_samples_csv(trial.directory / sampling.file)
    begin_s, end_s = sampling.training_start_s, sampling.training_end_s
    cut = [sample for sample in samples if begin_s <= sample.timestamp_s <= end_s]
    return TrialSamples(everything=samples, training=cut)


def summarise_sampling(trials: Sequence[LoadedTrial]) -> tuple[SamplingSummary | None, list[str]]:
    """Return what the jobs' samples say together, and a line for each file that could not be read."""
    records = [trial.record.sampling for trial in trials if trial.record.sampling is not None]
    if not records:
        return None, []
    problems: list[str] = []
    jobs: list[Sequence[Sample]] = []
    for trial in trials:
        try:
            jobs.append(read_trial_samples(trial).training)
        except RecordError as error:
            problems.append(error.message)
    energies = [trusted_energy(samples) for samples in jobs]
    metrics = [metric for source in dict.fromkeys(record.source for record in records) for metric in METRICS[source]]
    merged = SamplingSummary(
        source=records[0].source,
        source_reason=records[0].source_reason,
        samples=sum(len(samples) for samples in jobs),
        errors=sum(record.errors for record in records),
        overhead_share=max(record.overhead_share for record in records),
        energy_j=mean_or_none(energy_j for energy_j, _ in energies),
        energy_note=next((note for _, note in energies if note is not None), None),
        values=summarise_metrics(metrics, jobs),
    )
    return merged, problems


def trusted_energy(samples: Sequence[Sample]) -> tuple[float | None, str | None]:
    """Return the energy by the counter, or else by integrated power, and why neither should be trusted.

    A counter that was set back says nothing.
    """
    counter_j, integrated_j = None, integrate_w((sample.timestamp_s, sample["power_w"]) for sample in samples)
    readings_j = known_values(samples, "energy_j")
    if len(readings_j) > 1 and readings_j[-1] >= readings_j[0]:
        counter_j = readings_j[-1] - readings_j[0]
    window_s = samples[-1].timestamp_s - samples[0].timestamp_s if len(samples) > 1 else None
    note = energy_note(window_s, counter_j, integrated_j)
    if note is not None:
        return None, note
    return (integrated_j if counter_j is None else counter_j), None


def summarise_metrics(metrics: Iterable[Metric], jobs: Sequence[Sequence[Sample]]) -> dict[str, float | None]:
    """Return the metrics' summaries over the jobs' samples, by name; None where nothing was measured."""
    return {
        summary.name: summary.merge([known_values(samples, metric.name) for samples in jobs])
        for metric in metrics
        for summary in metric.summaries
    }
