"""The report's figures: SVG files that are the same bytes for the same records, and PNG images for TensorBoard.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; the background is opaque, for dark pages.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from harness.analysis.model import Analysis, ContenderAnalysis
from harness.analysis.sampling import TrialSamples, is_gpu, is_host
from harness.analysis.statistics import Estimate
from harness.measurement.samples import Sample
from reports import reference
from reports.formatting import times

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#F0E442")
GREY = "#767676"
MARKERS = "osD^vPX*"
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "speedproof",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": True,
}
WIDTH_IN = 8.0
"""768 pixels in a browser: GitHub's width."""

PHASE_GROUPS = {
    "start, imports": ("process_start", "imports"),
    "data and model": ("load_data", "tokenise", "load_model", "apply_strategies"),
    "warm-up and compile": ("warm_up",),
    "training": ("training",),
    "evaluation (forward)": ("evaluation",),
    "span search and scoring": ("span_search", "scoring"),
    "saving": ("saving",),
}
"""What the figure of phases draws in one colour; every other phase is "other"."""

GROUP_COLOURS = {
    "start, imports": "#56B4E9", "data and model": "#CC79A7", "warm-up and compile": "#E69F00", "training": "#0072B2",
    "evaluation (forward)": "#009E73", "span search and scoring": "#D55E00", "saving": "#F0E442", "other": "#999999",
}  # fmt: skip


def draw_figures(analysis: Analysis, samples: TrialSamples) -> dict[str, Figure]:
    """Return the figures by name; one that would be empty is left out."""
    drawings: dict[str, Callable[[], Figure | None]] = {
        "speedup": lambda: draw_speedups(analysis),
        "phases": lambda: draw_phases(analysis),
        "epochs": lambda: draw_epochs(analysis),
        "samples": lambda: draw_samples(samples),
    }
    with matplotlib.rc_context(STYLE):
        figures = {name: draw() for name, draw in drawings.items()}
    return {name: figure for name, figure in figures.items() if figure is not None}


def to_svg(figure: Figure) -> str:
    """Return the figure as SVG without date and program."""
    return _save(figure, "svg", {"Date": None, "Creator": None}).decode("utf-8")


def to_png(figure: Figure) -> bytes:
    """Return the figure as PNG."""
    return _save(figure, "png", {"Software": None})


def _save(figure: Figure, kind: str, metadata: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format=kind, dpi=100, metadata=metadata)
    return buffer.getvalue()


def _new_figure(height_in: float, columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(WIDTH_IN, height_in))
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, [axis for row in axes for axis in row]


def _label(name: str, longest: int = 32) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def draw_speedups(analysis: Analysis) -> Figure | None:
    """Draw job and step speedup of each contender with their ranges; None if there is none."""
    shown = [c for c in analysis.contenders if not c.is_baseline and (c.job_speedup or c.step_speedup)]
    if not shown:
        return None
    figure, (axis,) = _new_figure(1.3 + 0.5 * len(shown))
    for row, contender in enumerate(shown):
        _whisker(axis, row - 0.14, contender.job_speedup, COLOURS[0], "o", "job" if row == 0 else None)
        _whisker(axis, row + 0.14, contender.step_speedup, COLOURS[1], "s", "step (training)" if row == 0 else None)
    axis.axvline(1.0, color=GREY, linewidth=1.0, linestyle="--")
    axis.set_yticks(range(len(shown)), [_label(contender.name) for contender in shown])
    axis.set_ylim(len(shown) - 0.5, -0.5)
    highest = max(max(_ends(c.job_speedup) + _ends(c.step_speedup)) for c in shown)
    lowest = min(min(_ends(c.job_speedup) + _ends(c.step_speedup)) for c in shown)
    margin = 0.12 * (max(highest, 1.0) - min(lowest, 1.0)) + 0.05
    axis.set_xlim(max(0.0, min(lowest, 1.0) - margin), max(highest, 1.0) + 1.5 * margin)
    axis.set_xlabel("speedup: baseline time ÷ contender time (line: range seen)")
    axis.grid(axis="x", color="#e0e0e0", linewidth=0.6)
    axis.set_axisbelow(True)
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    return figure


def _ends(estimate: Estimate | None) -> list[float]:
    if estimate is None:
        return [1.0]
    return [value for value in (estimate.estimate, estimate.low, estimate.high) if value is not None]


def _whisker(axis: Axes, y: float, estimate: Estimate | None, colour: str, marker: str, label: str | None) -> None:
    if estimate is None:
        return
    if estimate.low is not None and estimate.high is not None:
        axis.plot([estimate.low, estimate.high], [y, y], color=colour, linewidth=1.6)
    axis.plot([estimate.estimate], [y], marker=marker, color=colour, linestyle="none", markersize=6, label=label)
    right = max(_ends(estimate))
    axis.annotate(times(estimate.estimate), (right, y), xytext=(7, 0), textcoords="offset points", va="center",
                  fontsize=8)  # fmt: skip


def draw_phases(analysis: Analysis) -> Figure | None:
    """Draw each contender's job as a bar of its phases; None if no job was measured."""
    shown = [contender for contender in analysis.contenders if contender.phases_s]
    if not shown:
        return None
    figure, (axis,) = _new_figure(1.5 + 0.36 * len(shown))
    grouped = [group_phases(contender) for contender in shown]
    left = [0.0] * len(shown)
    for group, colour in GROUP_COLOURS.items():
        widths = [phases.get(group, 0.0) for phases in grouped]
        if any(widths):
            axis.barh(range(len(shown)), widths, left=left, color=colour, label=group, height=0.72, edgecolor="white",
                      linewidth=0.5)  # fmt: skip
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for row, end in enumerate(left):
        axis.annotate(f"{end:.3g} s", (end, row), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
    axis.set_yticks(range(len(shown)), [_label(contender.name) for contender in shown])
    axis.set_ylim(len(shown) - 0.5, -0.5)
    axis.set_xlim(0.0, max(left) * 1.1)
    axis.set_xlabel("seconds of the job (mean over seeds)")
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    return figure


def group_phases(contender: ContenderAnalysis) -> dict[str, float]:
    """Return the seconds of each group of phases."""
    of_phase = {phase: group for group, phases in PHASE_GROUPS.items() for phase in phases}
    grouped: dict[str, float] = {}
    for phase, time_s in contender.phases_s.items():
        group = of_phase.get(phase, "other")
        grouped[group] = grouped.get(group, 0.0) + time_s
    return grouped


def draw_epochs(analysis: Analysis) -> Figure | None:
    """Draw training loss, EM and F1 by epoch with the published reference dashed; None if there are no epochs."""
    shown = [contender for contender in analysis.contenders if contender.epochs]
    if not shown:
        return None
    figure, axes = _new_figure(3.0, columns=3)
    panels = (("train_loss", "training loss", 2), ("em", "EM (%)", 3), ("f1", "F1 (%)", 4))
    for axis, (name, title, column) in zip(axes, panels, strict=True):
        numbers = [row[0] for row in reference.EPOCHS]
        values = [row[column] for row in reference.EPOCHS]
        axis.plot(numbers, values, color=GREY, linestyle="--", linewidth=1.2, label="published reference")
        for number, contender in enumerate(shown):
            points = [(epoch.epoch, getattr(epoch, name)) for epoch in contender.epochs]
            known = [(epoch, value) for epoch, value in points if value is not None]
            axis.plot([epoch for epoch, _ in known], [value for _, value in known], label=_label(contender.name),
                      color=COLOURS[number % len(COLOURS)], marker=MARKERS[number % len(MARKERS)], markersize=4,
                      linewidth=1.2)  # fmt: skip
        axis.set_title(title)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_ylim(bottom=0.0)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def draw_samples(samples: TrialSamples) -> Figure | None:
    """Draw what the sampler saw during the baseline's first job; None without samples."""
    panels = _panels(samples.everything)
    panels = {title: {label: line for label, line in lines.items() if any(v is not None for v in line)}
              for title, lines in panels.items()}  # fmt: skip
    panels = {title: lines for title, lines in panels.items() if lines}
    if not panels:
        return None
    start_s = samples.everything[0].timestamp_s
    times_s = [sample.timestamp_s - start_s for sample in samples.everything]
    figure, axes = _new_figure(0.7 + 1.3 * len(panels), rows=len(panels))
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for number, (label, values) in enumerate(lines.items()):
            known = [(at, value) for at, value in zip(times_s, values, strict=True) if value is not None]
            axis.plot([at for at, _ in known], [value for _, value in known], color=COLOURS[number], label=label,
                      linewidth=1.1)  # fmt: skip
        if samples.training:
            axis.axvspan(samples.training[0].timestamp_s - start_s, samples.training[-1].timestamp_s - start_s,
                         color="#0072B2", alpha=0.07, linewidth=0)  # fmt: skip
        axis.set_ylabel(title, fontsize=8)
        highest = max(value for line in lines.values() for value in line if value is not None)
        axis.set_ylim(0.0, 1.3 * highest or 1.0)
        if len(lines) > 1:
            axis.legend(loc="upper left", fontsize=7, frameon=False, ncols=2)
    axes[-1].set_xlabel("seconds since the first sample (shaded: training and evaluation)")
    return figure


def _panels(samples: Sequence[Sample]) -> Mapping[str, Mapping[str, list[float | None]]]:
    """Return what to draw: the panel's title, then its lines by label."""
    if is_gpu(samples):
        return {
            "utilisation (%)": {
                "GPU: any kernel ran": [sample.gpu_utilisation_percent for sample in samples],
                "memory in use": [sample.memory_utilisation_percent for sample in samples],
            },
            "power (W)": {"power": [sample.power_w for sample in samples]},
            "memory (GiB)": {"device memory": [sample.memory_used_gib for sample in samples]},
        }
    if is_host(samples):
        return {
            "CPU (% of one core)": {"process": [sample.process_cpu_percent for sample in samples]},
            "memory (GiB)": {"resident memory": [sample.rss_gib for sample in samples]},
            "load average": {"1 minute": [sample.load_average_1min for sample in samples]},
        }
    return {}
