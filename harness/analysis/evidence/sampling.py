"""What the sampler saw while a contender trained: energy, utilisation, temperature, load."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.errors import RecordError
from harness.measurement.energy import energy_note, integrate_w
from harness.measurement.metrics import METRICS, Metric
from harness.measurement.samples import Sample, cut_samples, known_values, read_samples_csv, stretches_between
from harness.records.store import LoadedTrial
from harness.statistics.estimate import mean_or_none


@dataclass(frozen=True, kw_only=True)
class TrialSamples:
    """The samples of one trial, whole and cut."""

    everything: Sequence[Sample]
    """From the start of the process to its end."""
    training: Sequence[Sequence[Sample]]
    """Between the first step and the last evaluation, in the stretches that audits leave."""
    trained_s: float
    """From the first step to the last evaluation, without the pauses for audits."""


NO_SAMPLES = TrialSamples(everything=(), training=(), trained_s=0.0)

SEEN_SHARE = 0.5
"""Of the training that the sampler must have seen between audits, for the rest to be taken to be like it."""


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
        return NO_SAMPLES
    samples = read_samples_csv(trial.directory / sampling.file)
    stretches_s = stretches_between(sampling.training_start_s, sampling.training_end_s, sampling.pauses_s)
    return TrialSamples(
        everything=samples,
        training=cut_samples(samples, stretches_s),
        trained_s=sum(end_s - begin_s for begin_s, end_s in stretches_s),
    )


def summarise_sampling(trials: Sequence[LoadedTrial]) -> tuple[SamplingSummary | None, list[str]]:
    """Return what the jobs' samples say together, and a line for each file that could not be read."""
    records = [trial.record.sampling for trial in trials if trial.record.sampling is not None]
    if not records:
        return None, []
    problems: list[str] = []
    jobs: list[TrialSamples] = []
    for trial in trials:
        try:
            jobs.append(read_trial_samples(trial))
        except RecordError as error:
            problems.append(error.message)
    energies = [trusted_energy(samples.training, samples.trained_s) for samples in jobs]
    trained = [[sample for stretch in samples.training for sample in stretch] for samples in jobs]
    metrics = [metric for source in dict.fromkeys(record.source for record in records) for metric in METRICS[source]]
    merged = SamplingSummary(
        source=records[0].source,
        source_reason=records[0].source_reason,
        samples=sum(map(len, trained)),
        errors=sum(record.errors for record in records),
        overhead_share=max(record.overhead_share for record in records),
        energy_j=mean_or_none(energy_j for energy_j, _ in energies),
        energy_note=next((note for _, note in energies if note is not None), None),
        values=summarise_metrics(metrics, trained),
    )
    return merged, problems


def trusted_energy(stretches: Sequence[Sequence[Sample]], trained_s: float) -> tuple[float | None, str | None]:
    """Return the energy by the counter, or else by integrated power, and why neither should be trusted.

    A counter that was set back says nothing. What audits took is not the training's: where they cut it into stretches,
    the energy of what was seen of these is scaled to the seconds trained.
    """
    seen = [stretch for stretch in stretches if len(stretch) > 1]
    seen_s = sum(stretch[-1].timestamp_s - stretch[0].timestamp_s for stretch in seen)
    if len(stretches) > 1 and seen_s < SEEN_SHARE * trained_s:
        return None, f"of {trained_s:.2g} s of training the sampler saw {seen_s:.2g} s between audits"
    counter_j = _sum_or_none(_counted_j(stretch) for stretch in seen)
    integrated_j = _sum_or_none(integrate_w((s.timestamp_s, s["power_w"]) for s in stretch) for stretch in seen)
    note = energy_note(seen_s if seen else None, counter_j, integrated_j)
    energy_j = integrated_j if counter_j is None else counter_j
    if note is not None or energy_j is None:
        return None, note
    return energy_j * (trained_s / seen_s if len(stretches) > 1 else 1.0), None


def _counted_j(samples: Sequence[Sample]) -> float | None:
    readings_j = known_values(samples, "energy_j")
    if len(readings_j) < 2 or readings_j[-1] < readings_j[0]:
        return None
    return readings_j[-1] - readings_j[0]


def _sum_or_none(values: Iterable[float | None]) -> float | None:
    """Return the sum; None where there is nothing to add up or one of the values is None."""
    known = list(values)
    return sum(value for value in known if value is not None) if known and None not in known else None


def summarise_metrics(metrics: Iterable[Metric], jobs: Sequence[Sequence[Sample]]) -> dict[str, float | None]:
    """Return the metrics' summaries over the jobs' samples, by name; None where nothing was measured."""
    return {
        summary.name: summary.merge([known_values(samples, metric.name) for samples in jobs])
        for metric in metrics
        for summary in metric.summaries
    }
