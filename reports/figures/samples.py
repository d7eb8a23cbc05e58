"""What the sampler saw over the baseline's first job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.analysis.evidence.sampling import TrialSamples, is_gpu, is_host
from harness.measurement.samples import Sample
from reports.figures.canvas import COLOURS, SMALL, new_figure

Lines: TypeAlias = Mapping[str, list[float | None]]


def draw_samples(samples: TrialSamples) -> Figure | None:
    """Draw each kind of reading in a panel of its own over time; None without samples."""
    known = {title: _known_lines(lines) for title, lines in _panels(samples.everything).items()}
    panels = {title: lines for title, lines in known.items() if lines}
    if not panels:
        return None
    start_s = samples.everything[0].timestamp_s
    times_s = [sample.timestamp_s - start_s for sample in samples.everything]
    figure, axes = new_figure(0.7 + 1.15 * len(panels), rows=len(panels))
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        _draw_panel(axis, title, times_s, lines)
        if samples.training:
            axis.axvspan(samples.training[0].timestamp_s - start_s, samples.training[-1].timestamp_s - start_s,
                         color=COLOURS[0], alpha=0.08, linewidth=0)  # fmt: skip
        axis.label_outer()
    axes[-1].set_xlabel("seconds since the first sample (shaded: training and evaluation)")
    figure.align_ylabels()
    return figure


def _draw_panel(axis: Axes, title: str, times_s: Sequence[float], lines: Lines) -> None:
    for number, (words, values) in enumerate(lines.items()):
        known = [(at, value) for at, value in zip(times_s, values, strict=True) if value is not None]
        axis.plot([at for at, _ in known], [value for _, value in known], color=COLOURS[number], label=words,
                  linewidth=1.1)  # fmt: skip
    axis.set_ylabel(title, fontsize=SMALL)
    highest = max(value for line in lines.values() for value in line if value is not None)
    axis.set_ylim(0.0, 1.35 * highest or 1.0)
    axis.set_xlim(0.0, max(times_s) or 1.0)
    if len(lines) > 1:
        axis.legend(loc="upper left", fontsize=SMALL, frameon=False, ncols=2)


def _known_lines(lines: Lines) -> Lines:
    return {words: line for words, line in lines.items() if any(value is not None for value in line)}


def _panels(samples: Sequence[Sample]) -> Mapping[str, Lines]:
    """Return what to draw: the panel's title, then its lines by label."""
    if is_gpu(samples):
        return {
            "utilisation (%)": {
                "GPU: any kernel ran": [sample.gpu_utilisation_percent for sample in samples],
                "memory in use": [sample.memory_utilisation_percent for sample in samples],
            },
            "power (W)": {"power": [sample.power_w for sample in samples]},
            "memory (GiB)": {"device memory": [sample.memory_used_gib for sample in samples]},
            "clocks (MHz)": {
                "SM": [sample.sm_clock_mhz for sample in samples],
                "memory": [sample.memory_clock_mhz for sample in samples],
            },
        }
    if is_host(samples):
        return {
            "CPU (% of one core)": {"process": [sample.process_cpu_percent for sample in samples]},
            "memory (GiB)": {"resident memory": [sample.rss_gib for sample in samples]},
            "load average": {"1 minute": [sample.load_average_1min for sample in samples]},
        }
    return {}
