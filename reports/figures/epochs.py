"""Training loss and scores: by epoch beside the published reference, and against the time since the start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports import reference
from reports.figures.canvas import COLOURS, MARKERS, MUTED, SMALL, label, new_figure
from reports.phases import training_start_s

if TYPE_CHECKING:
    from harness.analysis.model import Analysis


def draw(analysis: Analysis) -> Figure | None:
    """Draw the curves by epoch with the published reference dashed; None if there are no epochs."""
    shown = [contender for contender in analysis.contenders if contender.epochs]
    if not shown:
        return None
    panels = [("train_loss", "training loss"), *((m.name, f"{m.title} (%)") for m in analysis.scoring.metrics)]
    published = reference.published_epochs(analysis.scoring)
    figure, axes = new_figure(3.2, columns=len(panels))
    for axis, (name, title) in zip(axes, panels, strict=True):
        if published:
            axis.plot(range(1, len(published) + 1), [epoch[name] for epoch in published], color=MUTED, linestyle="--",
                      linewidth=1.2, label="published reference")  # fmt: skip
        for number, contender in enumerate(shown):
            values = [e.train_loss if name == "train_loss" else e.scores.get(name) for e in contender.epochs]
            _curve(axis, number, contender.name, [epoch.epoch for epoch in contender.epochs], values)
        _finish(axis, title, "epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure, axes[0])
    return figure


def draw_wall_clock(analysis: Analysis) -> Figure | None:
    """Draw the headline score against the time since the start of the job; None if no epoch was scored."""
    shown = [contender for contender in analysis.contenders if contender.epochs and contender.phases_s]
    headline = analysis.scoring.headline
    if not any(headline in epoch.scores for contender in shown for epoch in contender.epochs):
        return None
    figure, (axis,) = new_figure(2.8)
    for number, contender in enumerate(shown):
        values = [epoch.scores.get(headline) for epoch in contender.epochs]
        ends_s, at_s = [], training_start_s(contender.phases_s)
        for epoch in contender.epochs:
            # A curve ends where an epoch's time was not measured.
            if epoch.train_time_s is None or epoch.evaluation_time_s is None:
                break
            at_s += epoch.train_time_s + epoch.evaluation_time_s
            ends_s.append(at_s)
        _curve(axis, number, contender.name, ends_s, values)
    _finish(axis, f"{analysis.scoring.headline_title} (%)", "seconds since the start of the job, as the jobs ran")
    axis.set_xlim(left=0.0)
    _legend(figure, axis)
    return figure


def _curve(axis: Axes, number: int, name: str, at: Sequence[float], values: Sequence[float | None]) -> None:
    """Draw what is known of one contender; the first ones wider, so that curves of the same values show."""
    points = [(x, y) for x, y in zip(at, values, strict=False) if y is not None]
    wide = max(0.0, 1.0 - number / 4)
    axis.plot([x for x, _ in points], [y for _, y in points], label=label(name), color=COLOURS[number % len(COLOURS)],
              marker=MARKERS[number % len(MARKERS)], markersize=4 + 2.5 * wide, linewidth=1.2 + 1.6 * wide)  # fmt: skip


def _finish(axis: Axes, title: str, below: str) -> None:
    axis.set_title(title)
    axis.set_xlabel(below)
    axis.set_ylim(bottom=0.0)
    axis.grid(axis="y", linewidth=0.6)
    axis.set_axisbelow(True)


def _legend(figure: Figure, axis: Axes) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=SMALL)
