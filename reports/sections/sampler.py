"""What the sampler saw while the baseline's job ran: utilisation, power, memory, clocks, load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.measurement.metrics import METRICS, in_display_order
from reports.document import Block, Picture, Section, Text, bullets, code, contender_name, paragraph, strong, table
from reports.formatting import NONE, milliseconds, one_line, percent, significant

if TYPE_CHECKING:
    from harness.analysis.model import Analysis

NAMES = {"nvml": "NVML", "psutil": "psutil"}
RATES = {"matmul_gflops": "a fixed matrix product ran at", "memory_gb_per_s": "a fixed copy at",
         "sm_clock_mhz": "its clock was at"}  # fmt: skip
UNITS = {"matmul_gflops": "GFLOP/s", "memory_gb_per_s": "GB/s", "sm_clock_mhz": "MHz"}
SPEED_HOW = (
    "A job during which the machine was busy with other work, or ran at another speed than in the rest of the run, was "
    "measured again at the run's end; if it stayed so, its times are left out and its scores count."
)
OVERHEAD_HOW = (
    "Measured in the baseline's jobs, beside the largest share in any contender's. What is in the step should stay "
    "below 1 % of it each; both sides of every comparison bear it."
)


def section(analysis: Analysis) -> Section:
    """Return the readings over the baseline's first job."""
    watched = {c.name: evidence.sampling for c, evidence in analysis.ran if evidence.sampling is not None}
    picture = Picture(name="samples", caption="Samples over the baseline's first job; shaded: training and evaluation")
    more = (*_machine_speed(analysis), *_overhead(analysis))
    if not watched:
        nobody = bullets(["No sampler watched the jobs."])
        return Section(title="The machine over time", blocks=(picture, *nobody, *more))
    name, sampling = next(iter(watched.items()))
    on_gpu, why = sampling.source == "nvml", sampling.source_reason
    metrics = in_display_order(METRICS.get(sampling.source, ()))
    known = [(summary.says, sampling.values.get(summary.name)) for metric in metrics for summary in metric.summaries]
    seen = [words.format(value) for words, value in known if words is not None and value is not None]
    lines: list[Text] = [("While ", code(name), f" trained and evaluated: {', '.join(seen)}.")] if seen else []
    reason = f", {'' if on_gpu else 'not NVML: '}{one_line(why)}" if why else ""
    lines.append(f"Sampler: {NAMES.get(sampling.source, sampling.source)}{reason}.")
    return Section(title=f"The {'GPU' if on_gpu else 'machine'} over time", blocks=(picture, *bullets(lines), *more))


def _machine_speed(analysis: Analysis) -> tuple[Block, ...]:
    """Return how fast the machine was over the run, and which jobs that bears on."""
    machine = analysis.machine
    if machine is None:
        return ()
    lows = {name: min(point.shares.get(name, 1.0) for point in machine.points) for name in machine.usual}
    highs = {name: max(point.shares.get(name, 1.0) for point in machine.points) for name in machine.usual}
    ranges = "; ".join(
        f"{RATES[name]} {percent(lows[name])} to {percent(highs[name])} of its usual {significant(usual)} {UNITS[name]}"
        for name, usual in machine.usual.items()
    )
    told = paragraph(f"How fast the machine itself was, {len(machine.points)} readings over the run: {ranges}.")
    rows = [
        (
            contender_name(job.contender),
            str(job.seed),
            NONE if job.first_share is None else percent(job.first_share),
            NONE if job.share is None else percent(job.share),
            "count" if job.counts else strong("left out"),
        )
        for job in machine.jobs
        if not job.counts or job.first_share is not None
    ]
    headers = ("Job of", "Seed", "Machine's speed at first", "Machine's speed", "Its times")
    how = (paragraph(SPEED_HOW),) if rows else ()
    picture = Picture(name="machine_speed", caption="The machine's speed over the run, as a share of its usual one")
    return (Section(title="How fast the machine was", blocks=(told, picture, *how, *table(headers, rows, "lllll"))),)


def _overhead(analysis: Analysis) -> tuple[Block, ...]:
    """Return what the harness costs, part by part."""
    rows = [
        (
            row.part,
            milliseconds(row.step_ms),
            percent(row.share),
            (percent(row.worst_share), " (", contender_name(row.worst), ")"),
            "in the step" if row.inside else "outside the job's time",
        )
        for row in analysis.overhead
    ]
    if not rows:
        return ()
    headers = ("Part", "ms per step", "Of the step", "At most, of any contender's", "Its time is")
    title = "What the harness itself costs"
    return (Section(title=title, blocks=(paragraph(OVERHEAD_HOW), *table(headers, rows))),)
