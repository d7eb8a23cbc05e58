"""Dot-and-whisker plots of speedups with their noise floor: one for all contenders, and a small one for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reports.figures.canvas import COLOURS, GRID, INK, MUTED, STYLE, name_rows, new_figure, write_beside
from reports.formatting import speedup
from reports.verdicts import ROW_PLOT

if TYPE_CHECKING:
    from harness.analysis.model import Analysis, ContenderAnalysis
    from harness.statistics.estimate import Estimate

VERDICT_COLOURS = {"ACCEPTED": "#009E73", "FASTER": "#56B4E9", "SLOWER": "#D55E00", "REJECTED": "#D55E00"}
"""Of the small plots; every other verdict is grey."""

TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.7, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0,
         30.0, 50.0, 100.0)  # fmt: skip
MOST_TICKS = 8
BAND_HEIGHT = 0.26


def draw(analysis: Analysis) -> Figure | None:
    """Draw job and step speedup of each contender with their intervals and noise floor; None if there is none."""
    shown = [c for c in analysis.contenders if not c.is_baseline and (c.job_speedup or c.step_speedup)]
    if not shown:
        return None
    figure, (axis,) = new_figure(1.2 + 0.55 * len(shown))
    step_floor = None if analysis.noise_floor is None else analysis.noise_floor.share
    for row, contender in enumerate(shown):
        _band(axis, row - 0.17, _job_floor(contender))
        _band(axis, row + 0.17, step_floor)
        whiskers = (
            (row - 0.17, contender.job_speedup, COLOURS[0], "o", "job"),
            (row + 0.17, contender.step_speedup, COLOURS[1], "s", "step (training)"),
        )
        for y, estimate, colour, marker, words in whiskers:
            if estimate is not None:
                _whisker(axis, y, estimate, colour, marker, words if row == 0 else None)
                write_beside(axis, max(interval_ends(estimate)[1:]), y, speedup(estimate, ranges=False), gap=7)
    name_rows(axis, [contender.name for contender in shown])
    low, high = speedup_limits(shown)
    _log_axis(axis, low, high * 1.12)
    axis.set_xlabel("speedup: baseline time ÷ contender time (logarithmic; grey: nothing is claimed within)")
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    return figure


def draw_table_plots(analysis: Analysis) -> dict[str, Figure]:
    """Return the small plots in the table of verdicts by name, all on one axis; the baseline's is A/A."""
    shown = [c for c in analysis.contenders if not c.is_baseline and c.job_speedup is not None]
    if not shown:
        return {}
    limits, aa, plots = speedup_limits(shown), analysis.noise_floor, {}
    with matplotlib.rc_context(STYLE):
        if aa is not None:
            plots[ROW_PLOT + analysis.baseline] = _row_plot(aa.ratio.interval, MUTED, aa.share, limits)
        for contender in shown:
            if contender.job_speedup is not None:
                colour = VERDICT_COLOURS.get(contender.verdict or "", MUTED)
                plot = _row_plot(contender.job_speedup, colour, _job_floor(contender), limits)
                plots[ROW_PLOT + contender.name] = plot
    return plots


def _job_floor(contender: ContenderAnalysis) -> float | None:
    job = None if contender.evidence is None else contender.evidence.job
    return None if job is None else job.floor


def _row_plot(estimate: Estimate, colour: str, floor: float | None, limits: tuple[float, float]) -> Figure:
    figure = Figure(figsize=(1.7, 0.24))
    figure.patch.set_alpha(0.0)
    axis = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axis.axis("off")
    axis.set_xscale("log")
    axis.set_xlim(*limits)
    axis.set_ylim(0.5, -0.5)
    if floor is not None:
        axis.axvspan(1.0 / (1.0 + floor), 1.0 + floor, color=GRID, linewidth=0)
    axis.axvline(1.0, color=MUTED, linewidth=0.8)
    _whisker(axis, 0.0, estimate, colour, "o")
    return figure


def speedup_limits(shown: Sequence[ContenderAnalysis]) -> tuple[float, float]:
    """Return the ends of the axis: all intervals and 1, with some room."""
    ends = [end for c in shown for end in (*interval_ends(c.job_speedup), *interval_ends(c.step_speedup))]
    low, high = min(ends), max(ends)
    room = max(1.03, (high / low) ** 0.08)
    return low / room, high * room


def interval_ends(estimate: Estimate | None) -> list[float]:
    """Return everything of an estimate that must be on the axis, and 1."""
    if estimate is None:
        return [1.0]
    ends = [value for value in (estimate.estimate, estimate.low, estimate.high) if value is not None]
    return [1.0, *(value for value in ends if value > 0 and math.isfinite(value))]


def _band(axis: Axes, y: float, floor: float | None) -> None:
    if floor is None:
        return
    left, right = 1.0 / (1.0 + floor), 1.0 + floor
    axis.add_patch(Rectangle((left, y - BAND_HEIGHT / 2), right - left, BAND_HEIGHT, color=GRID, linewidth=0))


def _whisker(axis: Axes, y: float, estimate: Estimate, colour: str, marker: str, legend: str | None = None) -> None:
    if estimate.low is not None and estimate.high is not None:
        axis.plot([estimate.low, estimate.high], [y, y], color=colour, linewidth=1.8, solid_capstyle="butt")
    axis.plot([estimate.estimate], [y], marker=marker, color=colour, linestyle="none", markersize=6, label=legend)


def _log_axis(axis: Axes, low: float, high: float) -> None:
    axis.set_xscale("log")
    axis.set_xlim(low, high)
    inside = [tick for tick in TICKS if low <= tick <= high]
    every = math.ceil(len(inside) / MOST_TICKS)
    # 1 stays a tick whichever others are left out.
    start = inside.index(1.0) % every
    ticks = inside[start::every]
    axis.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
    axis.minorticks_off()
    axis.axvline(1.0, color=INK, linewidth=0.9, linestyle="--")
    axis.grid(axis="x", linewidth=0.6)
    axis.set_axisbelow(True)
