"""Each contender's job as a bar of its phases."""

from __future__ import annotations

from matplotlib.figure import Figure

from harness.analysis.model import Analysis
from reports.figures.canvas import PAPER, SMALL, name_rows, new_figure
from reports.formatting import seconds
from reports.phases import group_phases

GROUP_COLOURS = {
    "start, imports": "#56B4E9", "data and model": "#CC79A7", "warm-up and compile": "#E69F00", "training": "#0072B2",
    "evaluation (forward)": "#009E73", "span search and scoring": "#D55E00", "saving": "#F0E442", "other": "#999999",
}  # fmt: skip


def draw_phases(analysis: Analysis) -> Figure | None:
    """Draw the phases of all measured jobs; None if no job was measured."""
    shown = [contender for contender in analysis.contenders if contender.phases_s]
    if not shown:
        return None
    figure, (axis,) = new_figure(1.4 + 0.34 * len(shown))
    grouped = [group_phases(contender.phases_s) for contender in shown]
    left = [0.0] * len(shown)
    for group, colour in GROUP_COLOURS.items():
        widths = [phases.get(group, 0.0) for phases in grouped]
        if any(widths):
            axis.barh(range(len(shown)), widths, left=left, color=colour, label=group, height=0.72, edgecolor=PAPER,
                      linewidth=0.5)  # fmt: skip
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for row, end in enumerate(left):
        axis.annotate(seconds(end), (end, row), xytext=(4, 0), textcoords="offset points", va="center", fontsize=SMALL)
    name_rows(axis, [contender.name for contender in shown])
    axis.set_xlim(0.0, max(left) * 1.1)
    axis.set_xlabel("seconds of the job (mean over seeds)")
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=SMALL)
    return figure
