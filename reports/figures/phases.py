"""Each contender's job as a bar of its phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from reports.figures.canvas import SMALL, name_rows, new_figure, stack_bars, write_beside
from reports.formatting import seconds
from reports.phases import PHASE_GROUPS, SPANS, group_phases

if TYPE_CHECKING:
    from harness.analysis.model import Analysis

COLOURS = ("#56B4E9", "#CC79A7", "#E69F00", "#0072B2", "#009E73", "#D55E00", "#F0E442", "#999999")
GROUP_COLOURS = dict(zip((*PHASE_GROUPS, "other"), COLOURS, strict=True))


def draw(analysis: Analysis) -> Figure | None:
    """Draw the phases of all measured jobs; None if no job was measured."""
    shown = [contender for contender in analysis.contenders if contender.phases_s]
    if not shown:
        return None
    figure, (axis,) = new_figure(1.4 + 0.34 * len(shown))
    layers = (
        (group, GROUP_COLOURS.get(group, GROUP_COLOURS[SPANS]), [time_s or 0.0 for time_s in times_s])
        for group, times_s in group_phases(shown).items()
    )
    ends_s = stack_bars(axis, layers, len(shown))
    for row, end_s in enumerate(ends_s):
        write_beside(axis, end_s, row, seconds(end_s), gap=4)
    name_rows(axis, [contender.name for contender in shown])
    axis.set_xlim(0.0, max(ends_s) * 1.1)
    axis.set_xlabel("seconds of the job (mean over seeds)")
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=SMALL)
    return figure
