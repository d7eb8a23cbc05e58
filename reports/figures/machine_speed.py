"""How fast the machine was over the run, by the speedometer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from reports.figures.canvas import COLOURS, GRID, MUTED, SMALL, new_figure

if TYPE_CHECKING:
    from harness.analysis.model import Analysis

LINES = {"matmul_gflops": "matrix product", "memory_gb_per_s": "copy", "sm_clock_mhz": "clock of the GPU"}


def draw(analysis: Analysis) -> Figure | None:
    """Draw each rate as a share of its usual one; None where the speedometer did not read enough."""
    machine = analysis.machine
    if machine is None:
        return None
    figure, (axis,) = new_figure(2.0)
    for number, name in enumerate(machine.usual):
        points = [(point.at_s / 60.0, 100.0 * point.shares[name]) for point in machine.points if name in point.shares]
        times_min, shares = zip(*points, strict=True)
        axis.plot(times_min, shares, color=COLOURS[number], marker=".", linewidth=0.8, label=LINES[name])
        axis.axhline(100.0 * machine.threshold[name], color=COLOURS[number], linewidth=0.8, linestyle=":")
    axis.axhline(100.0, color=MUTED, linewidth=0.6)
    axis.grid(axis="y", color=GRID, linewidth=0.5)
    axis.set_ylim(bottom=0.0)
    axis.set_ylabel("% of the usual speed")
    axis.set_xlabel("minutes of the run (dotted: below it is another speed)")
    axis.legend(loc="lower left", fontsize=SMALL, frameon=False, ncols=2)
    return figure
