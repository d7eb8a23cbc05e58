"""The ledger of each contender's step as a bar, and the waterfall between two steps."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.analysis.model import Analysis, ContenderAnalysis
from harness.analysis.trace.model import CATEGORY_WORDS, Category, Ledger
from reports.figures.canvas import INK, MUTED, PAPER, SMALL, name_rows, new_figure
from reports.formatting import milliseconds
from reports.sections.ledger import changed_bars, step_scale

CATEGORY_COLOURS: dict[Category, str] = {
    "matmul": "#0072B2", "attention": "#56B4E9", "elementwise": "#009E73", "loss": "#F0E442", "optimizer": "#E69F00",
    "copies": "#D55E00", "data": "#CC79A7", "idle": "#c4c4c4", "other": "#8c8c8c",
}  # fmt: skip
SAVED, COSTS = "#009E73", "#D55E00"


def draw_ledgers(analysis: Analysis) -> Figure | None:
    """Draw what each contender's step is spent on; None without ledgers."""
    ledgers = {c.name: c.ledger for c in analysis.contenders if c.ledger is not None}
    if not ledgers:
        return None
    windows = next(iter(ledgers.values())).windows_per_step
    scales = [step_scale(ledger, windows) for ledger in ledgers.values()]
    figure, (axis,) = new_figure(1.5 + 0.34 * len(ledgers))
    left = [0.0] * len(ledgers)
    for category, colour in CATEGORY_COLOURS.items():
        widths = [_time_ms(ledger, category) * scale for ledger, scale in zip(ledgers.values(), scales, strict=True)]
        if any(widths):
            axis.barh(range(len(ledgers)), widths, left=left, color=colour, label=CATEGORY_WORDS[category],
                      height=0.72, edgecolor=PAPER, linewidth=0.5)  # fmt: skip
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for row, (ledger, scale) in enumerate(zip(ledgers.values(), scales, strict=True)):
        left[row] = max(left[row], _draw_step(axis, row, ledger, scale, left[row]))
    name_rows(axis, list(ledgers))
    axis.set_xlim(0.0, max(left) * 1.1)
    per = f"{windows:.0f} windows" if windows and any(scale != 1.0 for scale in scales) else "step"
    axis.set_xlabel(f"ms per {per} (hatched: residual; line: the step without the profiler)")
    figure.legend(loc="outside upper center", ncols=5, frameon=False, fontsize=SMALL)
    return figure


def _time_ms(ledger: Ledger, category: Category) -> float:
    return sum(row.time_ms for row in ledger.rows if row.category == category)


def _draw_step(axis: Axes, row: int, ledger: Ledger, scale: float, end_ms: float) -> float:
    """Draw the residual and the unprofiled step; return how far right the row now goes."""
    if ledger.unprofiled_step_ms is None:
        return end_ms
    step_ms = ledger.unprofiled_step_ms * scale
    axis.barh([row], [step_ms - end_ms], left=[end_ms], color="none", edgecolor=MUTED, hatch="////", height=0.72,
              linewidth=0.5)  # fmt: skip
    axis.plot([step_ms, step_ms], [row - 0.42, row + 0.42], color=INK, linewidth=1.6)
    right = max(step_ms, end_ms)
    axis.annotate(f"{milliseconds(step_ms)} ms", (right, row), xytext=(5, 0), textcoords="offset points", va="center",
                  fontsize=SMALL)  # fmt: skip
    return right


def draw_waterfall(analysis: Analysis, shown: ContenderAnalysis | None) -> Figure | None:
    """Draw the way from the baseline's step to that of `shown`; None without a waterfall."""
    if shown is None or shown.waterfall is None:
        return None
    waterfall = shown.waterfall
    steps = [(CATEGORY_WORDS[bar.category], bar.difference_ms) for bar in changed_bars(waterfall)]
    steps.append(("residual", waterfall.residual_ms))
    figure, (axis,) = new_figure(1.0 + 0.28 * (len(steps) + 2))
    axis.barh([0], [waterfall.baseline_ms], color=MUTED, height=0.7)
    at_ms = waterfall.baseline_ms
    for row, (_, difference_ms) in enumerate(steps, start=1):
        axis.barh([row], [difference_ms], left=[at_ms], color=SAVED if difference_ms <= 0 else COSTS, height=0.7)
        axis.plot([at_ms, at_ms], [row - 1.35, row + 0.35], color=MUTED, linewidth=0.7)
        at_ms += difference_ms
        _beside(axis, max(at_ms, at_ms - difference_ms), row, milliseconds(difference_ms, sign=True))
    axis.barh([len(steps) + 1], [waterfall.contender_ms], color="#0072B2", height=0.7)
    _beside(axis, waterfall.baseline_ms, 0, milliseconds(waterfall.baseline_ms))
    _beside(axis, waterfall.contender_ms, len(steps) + 1, milliseconds(waterfall.contender_ms))
    name_rows(axis, [analysis.baseline, *(words for words, _ in steps), shown.name])
    axis.set_xlim(0.0, _furthest(waterfall.baseline_ms, [difference for _, difference in steps]) * 1.1)
    axis.set_xlabel("ms, for as many windows as the baseline's step has (green: saved, red: costs more)")
    return figure


def _beside(axis: Axes, x: float, row: int, text: str) -> None:
    axis.annotate(text, (x, row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=SMALL)


def _furthest(start_ms: float, differences_ms: list[float]) -> float:
    """Return how far right the waterfall goes."""
    at_ms = furthest_ms = start_ms
    for difference_ms in differences_ms:
        at_ms += difference_ms
        furthest_ms = max(furthest_ms, at_ms)
    return furthest_ms
