"""Samples of the GPU or the host: what one reading holds, its CSV file, and what a list of them says.

Pure data and functions: no torch, no NVML, so a report can be rebuilt from the files anywhere.
What was not measured is None and an empty cell, never 0.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from harness.errors import RecordError
from harness.records.store import write_text_atomic

SHORTEST_ENERGY_WINDOW_S = 2.0
"""Below this the energy counter, which moves about every 100 ms, is off by several per cent."""

LARGEST_ENERGY_DISAGREEMENT = 0.2
"""Of the larger of the two energies; beyond it the summary says so (a factor of 1.7 has been reported)."""

REASON_NAMES = {
    0x001: "gpu_idle",
    0x002: "applications_clocks_setting",
    0x004: "sw_power_cap",
    0x008: "hw_slowdown",
    0x010: "sync_boost",
    0x020: "sw_thermal_slowdown",
    0x040: "hw_thermal_slowdown",
    0x080: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
    0x200: "board_limit",
    0x400: "reliability",
}
"""`nvmlClocksEventReason*` of nvml.h (CUDA 13)."""

NOT_THROTTLING = frozenset({"gpu_idle", "applications_clocks_setting"})
"""Reasons that say nothing against a measurement: nothing to do, or clocks that somebody chose."""


@dataclass(frozen=True, kw_only=True)
class GpuSample:
    """One reading of a GPU through NVML."""

    timestamp_s: float
    """Seconds since the epoch (`time.time`), like the phases of a trial."""
    gpu_utilisation_percent: float | None = None
    """Share of the driver's last 1/6 to 1 s in which any kernel ran; not efficiency."""
    memory_utilisation_percent: float | None = None
    """Share of the same window in which device memory was read or written."""
    memory_used_gib: float | None = None
    """Of all processes on the device, without the driver's reserve."""
    power_w: float | None = None
    energy_j: float | None = None
    """Counter since the driver was loaded."""
    sm_clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    temperature_c: float | None = None
    throttle_reasons: int | None = None
    """Bits of `REASON_NAMES`."""
    other_processes: int | None = None
    """Compute processes on the device that are neither ours nor our children; 0 also where a container hides them."""


@dataclass(frozen=True, kw_only=True)
class HostSample:
    """One reading of the host through psutil."""

    timestamp_s: float
    process_cpu_percent: float | None = None
    """Of one core: this process with all its threads, since the last reading."""
    rss_gib: float | None = None
    load_average_1min: float | None = None
    system_cpu_percent: float | None = None
    """Of all cores, everybody's work, since the last reading."""
    swap_used_gib: float | None = None


Sample: TypeAlias = GpuSample | HostSample
_S = TypeVar("_S", GpuSample, HostSample)


@dataclass(frozen=True, kw_only=True)
class GpuSummary:
    """What a list of GPU samples says; None where nothing was measured."""

    samples: int
    window_s: float | None
    mean_gpu_utilisation_percent: float | None
    max_gpu_utilisation_percent: float | None
    mean_memory_utilisation_percent: float | None
    max_memory_used_gib: float | None
    mean_power_w: float | None
    energy_counter_j: float | None
    """Last minus first value of the driver's counter."""
    energy_integrated_j: float | None
    """Power integrated over time (trapezoids)."""
    energy_note: str | None
    """Why the energies should not be trusted, in words."""
    max_temperature_c: float | None
    throttled_share: float | None
    """Share of samples with a reason that is not in `NOT_THROTTLING`."""
    throttle_reasons: dict[str, float] | None
    """Share of samples by such a reason, the most frequent first."""
    min_sm_clock_mhz: float | None
    max_sm_clock_mhz: float | None
    max_other_processes: int | None


@dataclass(frozen=True, kw_only=True)
class HostSummary:
    """What a list of host samples says; None where nothing was measured."""

    samples: int
    window_s: float | None
    mean_process_cpu_percent: float | None
    max_process_cpu_percent: float | None
    mean_system_cpu_percent: float | None
    max_system_cpu_percent: float | None
    max_rss_gib: float | None
    max_load_average_1min: float | None
    max_swap_used_gib: float | None


def write_samples_csv(path: Path, samples: Sequence[Sample]) -> None:
    """Write the samples, one a row, atomically; without samples only the column of times, so that the file is whole.

    Raises:
        TypeError: when the samples are not all of one kind.
    """
    kinds = {type(sample) for sample in samples}
    if len(kinds) > 1:
        raise TypeError("samples of the GPU and of the host don't fit into one file")
    columns = [field.name for kind in kinds for field in dataclasses.fields(kind)] or ["timestamp_s"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([getattr(sample, column) for column in columns] for sample in samples)
    write_text_atomic(path, text.getvalue())


def read_samples_csv(path: Path) -> list[GpuSample] | list[HostSample]:
    """Read what `write_samples_csv` wrote; the header says which kind it is.

    Raises:
        RecordError: when the file is missing or damaged; names the file and the line.
    """
    try:
        rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8")), strict=True)
        header = next(rows, [])
        if header == ["timestamp_s"]:
            return []
        if header == [field.name for field in dataclasses.fields(GpuSample)]:
            return [_parse(GpuSample, row, path, rows.line_num) for row in rows]
        if header == [field.name for field in dataclasses.fields(HostSample)]:
            return [_parse(HostSample, row, path, rows.line_num) for row in rows]
    except FileNotFoundError:
        raise _damaged(f"{path} is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(f"{path} is damaged: {error}") from None
    except csv.Error as error:
        raise _damaged(f"{path} is damaged in line {rows.line_num}: {error}") from None
    raise _damaged(f"{path} is damaged in line 1: these are not the columns of GPU or host samples")


def _damaged(message: str) -> RecordError:
    return RecordError(message, remedy="remove the trial and run it again")


def _parse(kind: type[_S], row: list[str], path: Path, line: int) -> _S:
    fields = dataclasses.fields(kind)
    if len(row) != len(fields):
        raise _damaged(f"{path} is damaged in line {line}: {len(row)} cells instead of {len(fields)}")
    values: dict[str, Any] = {}
    for field, cell in zip(fields, row, strict=True):
        try:
            values[field.name] = _number(cell, whole=str(field.type).startswith("int"))
        except ValueError:
            raise _damaged(f"{path} is damaged in line {line}: {field.name} is {cell!r}") from None
    if values["timestamp_s"] is None:
        raise _damaged(f"{path} is damaged in line {line}: timestamp_s is empty")
    return kind(**values)


def _number(cell: str, *, whole: bool) -> float | int | None:
    if not cell:
        return None
    if whole:
        return int(cell)
    value = float(cell)
    if not math.isfinite(value):
        raise ValueError(cell)
    return value


def summarise_gpu(samples: Sequence[GpuSample]) -> GpuSummary:
    """Return what the samples say; cut them to the window of interest before."""
    utilisation = _known(samples, "gpu_utilisation_percent")
    clocks = _known(samples, "sm_clock_mhz")
    counter_j, integrated_j = counter_energy_j(samples), integrated_energy_j(samples)
    return GpuSummary(
        samples=len(samples),
        window_s=_window_s(samples),
        mean_gpu_utilisation_percent=_mean(utilisation),
        max_gpu_utilisation_percent=max(utilisation, default=None),
        mean_memory_utilisation_percent=_mean(_known(samples, "memory_utilisation_percent")),
        max_memory_used_gib=max(_known(samples, "memory_used_gib"), default=None),
        mean_power_w=_mean(_known(samples, "power_w")),
        energy_counter_j=counter_j,
        energy_integrated_j=integrated_j,
        energy_note=energy_note(_window_s(samples), counter_j, integrated_j),
        max_temperature_c=max(_known(samples, "temperature_c"), default=None),
        throttled_share=throttled_share(samples),
        throttle_reasons=throttle_reason_shares(samples),
        min_sm_clock_mhz=min(clocks, default=None),
        max_sm_clock_mhz=max(clocks, default=None),
        max_other_processes=max(_known(samples, "other_processes"), default=None),
    )


def summarise_host(samples: Sequence[HostSample]) -> HostSummary:
    """Return what the samples say; cut them to the window of interest before."""
    process, system = _known(samples, "process_cpu_percent"), _known(samples, "system_cpu_percent")
    return HostSummary(
        samples=len(samples),
        window_s=_window_s(samples),
        mean_process_cpu_percent=_mean(process),
        max_process_cpu_percent=max(process, default=None),
        mean_system_cpu_percent=_mean(system),
        max_system_cpu_percent=max(system, default=None),
        max_rss_gib=max(_known(samples, "rss_gib"), default=None),
        max_load_average_1min=max(_known(samples, "load_average_1min"), default=None),
        max_swap_used_gib=max(_known(samples, "swap_used_gib"), default=None),
    )


def counter_energy_j(samples: Sequence[GpuSample]) -> float | None:
    """Return how far the energy counter went; None with fewer than two readings, or when it was set back."""
    readings = _known(samples, "energy_j")
    if len(readings) < 2 or readings[-1] < readings[0]:
        return None
    return float(readings[-1] - readings[0])


def integrated_energy_j(samples: Sequence[GpuSample]) -> float | None:
    """Return power integrated over time by trapezoids, in J; None with fewer than two readings."""
    points = [(sample.timestamp_s, sample.power_w) for sample in samples if sample.power_w is not None]
    if len(points) < 2:
        return None
    return sum((t1 - t0) * (p0 + p1) / 2 for (t0, p0), (t1, p1) in pairwise(points))


def energy_note(window_s: float | None, counter_j: float | None, integrated_j: float | None) -> str | None:
    """Return in words why the energies should not be trusted; None when nothing speaks against them."""
    if window_s is None or (counter_j is None and integrated_j is None):
        return None
    if window_s < SHORTEST_ENERGY_WINDOW_S:
        return f"too short: {window_s:.2g} s, and the energy counter moves only about every 100 ms"
    if counter_j is None or integrated_j is None:
        return None
    larger, difference = max(counter_j, integrated_j), abs(counter_j - integrated_j)
    if difference <= LARGEST_ENERGY_DISAGREEMENT * larger:
        return None
    both = f"the energy counter ({counter_j:.4g} J) and integrated power ({integrated_j:.4g} J)"
    return f"{both} disagree by {difference / larger:.0%} of the larger"


def decode_throttle_reasons(bits: int) -> dict[str, bool]:
    """Return the reasons that are set, by name; the value says whether it counts as throttling.

    A bit that nvml.h did not know is called by its value, and counts.
    """
    values = [1 << position for position in range(bits.bit_length()) if bits >> position & 1]
    names = [REASON_NAMES.get(value, f"unknown_{value:#x}") for value in values]
    return {name: name not in NOT_THROTTLING for name in names}


def throttled_share(samples: Sequence[GpuSample]) -> float | None:
    """Return the share of samples with at least one reason that counts as throttling."""
    readings = _known(samples, "throttle_reasons")
    return _mean([any(decode_throttle_reasons(bits).values()) for bits in readings])


def throttle_reason_shares(samples: Sequence[GpuSample]) -> dict[str, float] | None:
    """Return for each reason that counts as throttling its share of the samples, the most frequent first."""
    readings = _known(samples, "throttle_reasons")
    counts = Counter(name for bits in readings for name, counted in decode_throttle_reasons(bits).items() if counted)
    return {name: count / len(readings) for name, count in counts.most_common()} if readings else None


def _known(samples: Sequence[Sample], name: str) -> list[Any]:
    return [value for value in (getattr(sample, name) for sample in samples) if value is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _window_s(samples: Sequence[Sample]) -> float | None:
    return samples[-1].timestamp_s - samples[0].timestamp_s if len(samples) > 1 else None
