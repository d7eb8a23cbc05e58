"""What the sampler saw while the baseline's job ran: utilisation, power, memory, clocks, load."""

from __future__ import annotations

from collections.abc import Iterator

from harness.analysis.evidence.sampling import SamplingSummary
from harness.analysis.model import Analysis
from harness.measurement.metrics import METRICS, in_display_order
from reports.document import Picture, Section, Text, bullets, code
from reports.formatting import one_line, percent

NAMES = {"nvml": "NVML", "psutil": "psutil"}


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
    metrics = in_display_order(METRICS.get(sampling.source, ()))
    known = [(summary.says, sampling.values.get(summary.name)) for metric in metrics for summary in metric.summaries]
    seen = [words.format(value) for words, value in known if words is not None and value is not None]
    if seen:
        yield "While ", code(name), f" trained and evaluated: {', '.join(seen)}."
    why = sampling.source_reason
    preface = "" if sampling.source == "nvml" else "not NVML: "
    reason = f", {preface}{one_line(why)}" if why else ""
    overhead = max(other.overhead_share for other in watched.values())
    source = NAMES.get(sampling.source, sampling.source)
    yield f"Sampler: {source}{reason}. Its readings took {percent(overhead)} of the elapsed time at most."
