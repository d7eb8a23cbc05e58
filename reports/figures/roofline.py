"""How near each contender's steps come to the measured rate of matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from reports.figures.canvas import COLOURS, GRID, SMALL, name_rows, new_figure, write_beside
from reports.formatting import percent, significant

if TYPE_CHECKING:
    from harness.analysis.model import Analysis


def draw(analysis: Analysis) -> Figure | None:
    """Draw useful arithmetic per second below the roof of each contender's dtype; None without a roof."""
    if analysis.roofline is None:
        return None
    points = [point for point in analysis.roofline.points if point.mfu > 0]
    if not points:
        return None
    figure, (axis,) = new_figure(1.2 + 0.34 * len(points))
    rows = range(len(points))
    roofs = [point.useful_tflops / point.mfu for point in points]
    axis.barh(rows, roofs, color=GRID, height=0.72, label="measured matrix products of its dtype")
    useful = [point.useful_tflops for point in points]
    axis.barh(rows, useful, color=COLOURS[0], height=0.4, label="useful arithmetic of its steps")
    for row, (point, roof) in enumerate(zip(points, roofs, strict=True)):
        text = f"{percent(point.mfu)} of {significant(roof)} ({point.dtype})"
        write_beside(axis, roof, row, text)
    name_rows(axis, [point.contender for point in points])
    axis.set_xlim(0.0, max(roofs) * 1.25)
    axis.set_xlabel("TFLOP/s")
    figure.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=SMALL)
    return figure
