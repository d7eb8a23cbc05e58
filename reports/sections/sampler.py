"""What the sampler saw while the baseline's job ran: utilisation, power, memory, clocks, load."""

from __future__ import annotations

from harness.analysis.model import Analysis
from harness.measurement.metrics import METRICS, in_display_order
from reports.document import Picture, Section, Text, bullets, code
from reports.formatting import one_line, percent

NAMES = {"nvml": "NVML", "psutil": "psutil"}


def section(analysis: Analysis) -> Section:
    """Return the readings over the baseline's first job."""
    watched = {c.name: evidence.sampling for c, evidence in analysis.ran if evidence.sampling is not None}
    picture = Picture(name="samples", caption="Samples over the baseline's first job; shaded: training and evaluation")
    if not watched:
        return Section(title="The machine over time", blocks=(picture, *bullets(["No sampler watched the jobs."])))
    name, sampling = next(iter(watched.items()))
    on_gpu, why = sampling.source == "nvml", sampling.source_reason
    metrics = in_display_order(METRICS.get(sampling.source, ()))
    known = [(summary.says, sampling.values.get(summary.name)) for metric in metrics for summary in metric.summaries]
    seen = [words.format(value) for words, value in known if words is not None and value is not None]
    lines: list[Text] = [("While ", code(name), f" trained and evaluated: {', '.join(seen)}.")] if seen else []
    reason = f", {'' if on_gpu else 'not NVML: '}{one_line(why)}" if why else ""
    overhead = max(other.overhead_share for other in watched.values())
    source = NAMES.get(sampling.source, sampling.source)
    lines.append(f"Sampler: {source}{reason}. Its readings took {percent(overhead)} of the elapsed time at most.")
    return Section(title=f"The {'GPU' if on_gpu else 'machine'} over time", blocks=(picture, *bullets(lines)))
