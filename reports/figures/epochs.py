"""Training loss and scores: by epoch beside the published reference, and against the time since the start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from harness.analysis.model import Analysis, ContenderAnalysis
from reports import reference
from reports.figures.canvas import COLOURS, MARKERS, MUTED, SMALL, label, new_figure

AFTER_TRAINING = frozenset({"training", "evaluation", "span_search", "scoring", "saving", "other"})
"""Phases that are in the epochs' own times, or come after them."""


def draw_epochs(analysis: Analysis) -> Figure | None:
    """Draw the curves by epoch with the published reference dashed; None if there are no epochs."""
    shown = [contender for contender in analysis.contenders if contender.epochs]
    if not shown:
        return None
    panels = [("train_loss", "training loss"), *((m.name, f"{m.title} (%)") for m in analysis.scoring.metrics)]
    figure, axes = new_figure(3.2, columns=len(panels))
    for axis, (name, title) in zip(axes, panels, strict=True):
        if analysis.scoring.headline in reference.COLUMNS:
            numbers = [row[0] for row in reference.EPOCHS]
            values = [row[reference.COLUMNS[name]] for row in reference.EPOCHS]
            axis.plot(numbers, values, color=MUTED, linestyle="--", linewidth=1.2, label="published reference")
        for number, contender in enumerate(shown):
            points = [
                (epoch.epoch, {"train_loss": epoch.train_loss, **epoch.scores}.get(name)) for epoch in contender.epochs
            ]
            _curve(axis, number, contender.name, [(x, y) for x, y in points if y is not None])
        _finish(axis, title, "epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure, axes[0])
    return figure


def draw_wall_clock(analysis: Analysis) -> Figure | None:
    """Draw the headline score against the time since the start of the job; None if no epoch was scored."""
    shown = [contender for contender in analysis.contenders if contender.epochs and contender.phases_s]
    headline = analysis.scoring.headline
    scored = any(headline in epoch.scores for contender in shown for epoch in contender.epochs)
    if not scored:
        return None
    figure, (axis,) = new_figure(2.8)
    for number, contender in enumerate(shown):
        points = zip(epoch_ends_s(contender), (epoch.scores.get(headline) for epoch in contender.epochs), strict=False)
        _curve(axis, number, contender.name, [(x, y) for x, y in points if y is not None])
    _finish(axis, f"{analysis.scoring.headline_title} (%)", "seconds since the start of the job, as the jobs ran")
    axis.set_xlim(left=0.0)
    _legend(figure, axis)
    return figure


def epoch_ends_s(contender: ContenderAnalysis) -> Iterator[float]:
    """Yield when each epoch was trained and scored; ends where an epoch's time was not measured."""
    at_s = sum(time_s for name, time_s in contender.phases_s.items() if name not in AFTER_TRAINING)
    for epoch in contender.epochs:
        if epoch.train_time_s is None or epoch.evaluation_time_s is None:
            return
        at_s += epoch.train_time_s + epoch.evaluation_time_s
        yield at_s


def _curve(axis: Axes, number: int, name: str, points: Sequence[tuple[float, float]]) -> None:
    """Draw one contender; the first ones wider, so that curves of the same values show below each other."""
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
