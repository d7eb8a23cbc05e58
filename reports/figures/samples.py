"""What the sampler saw over the baseline's first job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from harness.measurement.metrics import arrange_panels
from harness.measurement.samples import known_values, measured_metrics
from reports.figures.canvas import COLOURS, SMALL, new_figure
from reports.thinning import bucket_size, thin

if TYPE_CHECKING:
    from harness.analysis.evidence.sampling import TrialSamples


def draw_samples(samples: TrialSamples) -> Figure | None:
    """Draw each kind of reading in a panel of its own over time; None without samples."""
    panels = arrange_panels(metric for metric in measured_metrics(samples.everything) if metric.in_report)
    if not panels:
        return None
    start_s = samples.everything[0].timestamp_s
    times_s = np.array(thin([sample.timestamp_s - start_s for sample in samples.everything]), dtype=float)
    together = bucket_size(len(samples.everything))
    figure, axes = new_figure(0.7 + 1.15 * len(panels), rows=len(panels))
    for axis, panel in zip(axes, panels, strict=True):
        for number, (name, words) in enumerate(panel.lines.items()):
            values = np.array(thin([sample[name] for sample in samples.everything]), dtype=float)
            axis.plot(times_s, values, color=COLOURS[number], label=words, linewidth=1.1)
        axis.set_ylabel(panel.title, fontsize=SMALL)
        highest = max(value for name in panel.lines for value in known_values(samples.everything, name))
        axis.set_ylim(0.0, 1.35 * highest or 1.0)
        axis.set_xlim(0.0, samples.everything[-1].timestamp_s - start_s or 1.0)
        if len(panel.lines) > 1:
            axis.legend(loc="upper left", fontsize=SMALL, frameon=False, ncols=2)
        for stretch in samples.training:
            axis.axvspan(stretch[0].timestamp_s - start_s, stretch[-1].timestamp_s - start_s, color=COLOURS[0],
                         alpha=0.08, linewidth=0)  # fmt: skip
        axis.label_outer()
    audits = ", white between: audits" if len(samples.training) > 1 else ""
    means = f"; each point the mean of {together} samples" if together > 1 else ""
    axes[-1].set_xlabel(f"seconds since the first sample (shaded: training and evaluation{audits}{means})")
    figure.align_ylabels()
    return figure
