"""What the sampler measures, one entry a metric: how it is read, summed up, drawn and put into words.

All others go through `METRICS`: the reading, the columns of the samples' CSV file, the analysis, the report's figure
and section, the dashboard. A new metric is a new entry, behind the others so that columns keep their places; in runs
from before it, it was not measured. Neither torch nor NVML is imported, so that a report can be rebuilt from the files
anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TypeAlias

import psutil

GIB = 2.0**30

Statistic: TypeAlias = Callable[[Sequence[float]], float]
"""One number for at least one value."""

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

PANELS = (
    "utilisation", "CPU", "power", "memory", "clocks", "temperature", "other processes on the GPU", "load average"
)  # fmt: skip
"""The order in which panels are drawn and words are said; a panel that is not named here comes last."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One number for all readings of a metric in a job, and then for all jobs."""

    name: str
    """In `SamplingSummary.values`, and so in `analysis.json`."""
    of: Statistic
    """Of a job's readings, the earliest first."""
    over_jobs: Statistic | None = None
    """Of the jobs' numbers; None: their mean, but the highest of highest ones and the lowest of lowest ones."""
    says: str | None = None
    """What the report says of it; None: nothing."""

    def merge(self, jobs: Sequence[Sequence[float]]) -> float | None:
        """Return the number for the readings of several jobs; None where there are none."""
        over_jobs = self.over_jobs or (self.of if self.of in (max, min) else fmean)
        each = [float(self.of(readings)) for readings in jobs if readings]
        return over_jobs(each) if each else None


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One quantity that the sampler reads."""

    name: str
    """The column of the CSV file; ends in the unit."""
    title: str
    """Of its line in a panel."""
    unit: str | None
    """As a panel shows it; None for a plain number."""
    panel: str | None
    """What it is drawn in, with others of its kind; None: it is not drawn."""
    in_report: bool = True
    """Whether the report's figure draws it too; the dashboard draws whatever has a panel."""
    read: Callable[[Any], float | None]
    """Of an `NvmlGpu` or a `HostReader`; what either is refused is None."""
    number: type[int] | type[float] = float
    summaries: tuple[Summary, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What is drawn over one pair of axes."""

    title: str
    lines: dict[str, str]
    """What each line is called, by the metric's name."""


def mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean."""
    return sum(values) / len(values)


def decode_throttle_reasons(bits: int) -> dict[str, bool]:
    """Return the reasons that are set, by name; the value says whether it counts as throttling.

    A bit that nvml.h did not know is called by its value, and counts.
    """
    values = [1 << position for position in range(bits.bit_length()) if bits >> position & 1]
    names = [REASON_NAMES.get(value, f"unknown_{value:#x}") for value in values]
    return {name: name not in NOT_THROTTLING for name in names}


METRICS: dict[str, tuple[Metric, ...]] = {
    "nvml": (
        Metric(name="gpu_utilisation_percent", title="GPU: any kernel ran", unit="%", panel="utilisation",
               read=lambda gpu: gpu.utilisation().gpu,
               summaries=(Summary(name="mean_gpu_utilisation_percent", of=mean,
                                  says="GPU utilisation {:.0f} % on average (share of time in which any kernel ran; "
                                       "not efficiency)"),
                          Summary(name="max_gpu_utilisation_percent", of=max))),
        Metric(name="memory_utilisation_percent", title="memory in use", unit="%", panel="utilisation",
               read=lambda gpu: gpu.utilisation().memory,  # share of the time in which it was read or written
               summaries=(Summary(name="mean_memory_utilisation_percent", of=mean),)),
        Metric(name="memory_used_gib", title="device memory", unit="GiB", panel="memory",
               read=lambda gpu: gpu.memory().used / GIB,  # of all processes, without the driver's reserve
               summaries=(Summary(name="max_memory_used_gib", of=max, says="{:.1f} GiB of device memory at most"),)),
        Metric(name="power_w", title="power", unit="W", panel="power",
               read=lambda gpu: gpu.power_w(),
               summaries=(Summary(name="mean_power_w", of=mean, says="{:.0f} W on average"),)),
        Metric(name="energy_j", title="counter since the driver was loaded", unit="J", panel=None,
               read=lambda gpu: gpu.energy_j()),
        Metric(name="sm_clock_mhz", title="SM", unit="MHz", panel="clocks",
               read=lambda gpu: gpu.sm_clock_mhz(),
               summaries=(Summary(name="min_sm_clock_mhz", of=min, says="SM clock {:.0f} MHz at least"),
                          Summary(name="max_sm_clock_mhz", of=max))),
        Metric(name="memory_clock_mhz", title="memory", unit="MHz", panel="clocks",
               read=lambda gpu: gpu.nvml.nvmlDeviceGetClockInfo(gpu.handle, gpu.nvml.NVML_CLOCK_MEM)),
        Metric(name="temperature_c", title="GPU", unit="°C", panel="temperature", in_report=False,
               read=lambda gpu: gpu.temperature_c(),
               summaries=(Summary(name="max_temperature_c", of=max, says="{:.0f} °C at most"),)),
        Metric(name="throttle_reasons", title="bits of REASON_NAMES", unit=None, panel=None, number=int,
               read=lambda gpu: gpu.throttle_reasons(),
               summaries=(Summary(name="throttled_share", of=lambda readings: mean(
                   [any(decode_throttle_reasons(int(bits)).values()) for bits in readings])),)),
        Metric(name="other_processes", title="processes", unit=None, panel="other processes on the GPU",
               in_report=False, number=int,
               read=lambda gpu: gpu.count_others(),  # 0 also where a container hides them
               summaries=(Summary(name="max_other_processes", of=max),)),
    ),
    "psutil": (
        Metric(name="process_cpu_percent", title="process", unit="% of one core", panel="CPU",
               read=lambda host: host.process_cpu_percent,
               summaries=(Summary(name="mean_process_cpu_percent", of=mean,
                                  says="process CPU {:.0f} % of one core on average"),
                          Summary(name="max_process_cpu_percent", of=max))),
        Metric(name="rss_gib", title="resident memory of the process", unit="GiB", panel="memory",
               read=lambda host: host.process.memory_info().rss / GIB,
               summaries=(Summary(name="max_rss_gib", of=max, says="{:.2f} GiB of resident memory at most"),)),
        Metric(name="load_average_1min", title="1 minute", unit=None, panel="load average",
               read=lambda host: psutil.getloadavg()[0],
               summaries=(Summary(name="max_load_average_1min", of=max, says="load average {:.1f} at most"),)),
        Metric(name="system_cpu_percent", title="everybody", unit="% of all cores", panel="CPU", in_report=False,
               read=lambda host: host.system_cpu_percent,
               summaries=(Summary(name="mean_system_cpu_percent", of=mean),
                          Summary(name="max_system_cpu_percent", of=max))),
        Metric(name="swap_used_gib", title="swap in use", unit="GiB", panel="memory", in_report=False,
               read=lambda host: psutil.swap_memory().used / GIB,
               summaries=(Summary(name="max_swap_used_gib", of=max),
                          Summary(name="max_swap_growth_gib", of=lambda used: max(used) - used[0], over_jobs=max))),
    ),
}  # fmt: skip
"""By the sampler's source, in the order of the CSV file's columns."""


def metrics_by_name() -> dict[str, Metric]:
    """Return the metrics of all sources."""
    return {metric.name: metric for metrics in METRICS.values() for metric in metrics}


def in_display_order(metrics: Iterable[Metric]) -> list[Metric]:
    """Return the metrics as `PANELS` has them, those of one panel in their own order."""
    rank = {panel: number for number, panel in enumerate(PANELS)}
    return sorted(metrics, key=lambda metric: rank.get(metric.panel or "", len(PANELS)))


def arrange_panels(metrics: Iterable[Metric]) -> list[Panel]:
    """Return what is drawn together. A unit that all lines of a panel share stands in its title, others at the line."""
    grouped: dict[str, list[Metric]] = {}
    for metric in in_display_order(metrics):
        if metric.panel is not None:
            grouped.setdefault(metric.panel, []).append(metric)
    panels = []
    for title, group in grouped.items():
        share = len({metric.unit for metric in group}) == 1
        lines = {metric.name: metric.title if share else _with_unit(metric.title, metric.unit) for metric in group}
        panels.append(Panel(title=_with_unit(title, group[0].unit) if share else title, lines=lines))
    return panels


def _with_unit(title: str, unit: str | None) -> str:
    return title if unit is None else f"{title} ({unit})"
