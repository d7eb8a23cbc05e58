"""What the sampler saw while the baseline's job ran: utilisation, power, memory, clocks, load."""

from __future__ import annotations

from collections.abc import Iterator

from harness.analysis.evidence.sampling import SamplingSummary
from harness.analysis.model import Analysis
from reports.document import Picture, Section, Text, bullets, code
from reports.formatting import one_line, percent

NAMES = {"nvml": "NVML", "psutil": "psutil"}

READINGS = {
    "mean_gpu_utilisation_percent": "GPU utilisation {:.0f} % on average (share of time in which any kernel ran; not "
                                    "efficiency)",
    "mean_power_w": "{:.0f} W on average",
    "max_memory_used_gib": "{:.1f} GiB of device memory at most",
    "min_sm_clock_mhz": "SM clock {:.0f} MHz at least",
    "max_temperature_c": "{:.0f} °C at most",
    "mean_process_cpu_percent": "process CPU {:.0f} % of one core on average",
    "max_rss_gib": "{:.2f} GiB of resident memory at most",
    "max_load_average_1min": "load average {:.1f} at most",
}  # fmt: skip
"""What is said of each reading that there is."""


def section(analysis: Analysis) -> Section:
    """Return the readings over the baseline's first job."""
    watched = {c.name: evidence.sampling for c, evidence in analysis.ran if evidence.sampling is not None}
    first = next(iter(watched.items()), None)
    on_gpu = first is not None and first[1].source == "nvml"
    lines = bullets(_lines(watched))
    caption = "Samples over the baseline's first job; shaded: training and evaluation"
    title = "The GPU over time" if on_gpu else "The machine over time"
    return Section(title=title, blocks=(Picture(name="samples", caption=caption), *lines))


def _lines(watched: dict[str, SamplingSummary]) -> Iterator[Text]:
    if not watched:
        yield "No sampler watched the jobs."
        return
    name, sampling = next(iter(watched.items()))
    seen = [words.format(sampling.values[key]) for key, words in READINGS.items() if _has(sampling, key)]
    if seen:
        yield "While ", code(name), f" trained and evaluated: {', '.join(seen)}."
    why = sampling.source_reason
    preface = "" if sampling.source == "nvml" else "not NVML: "
    reason = f", {preface}{one_line(why)}" if why else ""
    overhead = max(other.overhead_share for other in watched.values())
    source = NAMES.get(sampling.source, sampling.source)
    yield f"Sampler: {source}{reason}. Its readings took {percent(overhead)} of the elapsed time at most."


def _has(sampling: SamplingSummary, key: str) -> bool:
    return sampling.values.get(key) is not None
