"""The ledger of each contender's step as a bar, and the waterfall between two steps."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from harness.analysis.trace.model import CATEGORY_WORDS, Category
from reports.figures.canvas import INK, MUTED, SMALL, name_rows, new_figure, stack_bars, write_beside
from reports.formatting import milliseconds
from reports.select import best_explained, changed_bars, scaled_steps

if TYPE_CHECKING:
    from harness.analysis.model import Analysis

CATEGORY_COLOURS: dict[Category, str] = {
    "matmul": "#0072B2", "attention": "#56B4E9", "elementwise": "#009E73", "loss": "#F0E442", "optimizer": "#E69F00",
    "copies": "#D55E00", "data": "#CC79A7", "idle": "#c4c4c4", "other": "#8c8c8c",
}  # fmt: skip
SAVED, COSTS = "#009E73", "#D55E00"


def draw(analysis: Analysis) -> Figure | None:
    """Draw what each contender's step is spent on; None without ledgers."""
    ledgers = {c.name: c.ledger for c in analysis.contenders if c.ledger is not None}
    if not ledgers:
        return None
    per, steps = scaled_steps(ledgers)
    names = list(steps)
    figure, (axis,) = new_figure(1.5 + 0.34 * len(steps))
    layers = (
        (CATEGORY_WORDS[name], colour, [step.rows_ms.get(name, 0.0) for step in steps.values()])
        for name, colour in CATEGORY_COLOURS.items()
    )
    ends_ms = stack_bars(axis, layers, len(steps))
    for row, step in enumerate(steps.values()):
        step_ms, end_ms = step.step_ms, ends_ms[row]
        if step_ms is None:
            continue
        axis.barh([row], [step_ms - end_ms], left=[end_ms], color="none", edgecolor=MUTED, hatch="////", height=0.72,
                  linewidth=0.5)  # fmt: skip
        axis.plot([step_ms, step_ms], [row - 0.42, row + 0.42], color=INK, linewidth=1.6)
        ends_ms[row] = max(step_ms, end_ms)
        unlike = "" if ledgers[names[row]].unlike is None else ": unlike the profiled steps"
        write_beside(axis, ends_ms[row], row, f"{milliseconds(step_ms)} ms{unlike}")
    name_rows(axis, names)
    room = 1.35 if any(ledger.unlike is not None for ledger in ledgers.values()) else 1.1
    axis.set_xlim(0.0, max(ends_ms) * room)
    axis.set_xlabel(f"ms per {per} (hatched: residual; line: the step without the profiler)")
    figure.legend(loc="outside upper center", ncols=5, frameon=False, fontsize=SMALL)
    return figure


def draw_waterfall(analysis: Analysis) -> Figure | None:
    """Draw the way from the baseline's step to the best contender's; None without a waterfall."""
    shown = best_explained(analysis)
    if shown is None or shown.waterfall is None:
        return None
    waterfall = shown.waterfall
    changes_ms = [(CATEGORY_WORDS[bar.category], bar.difference_ms) for bar in changed_bars(waterfall)]
    changes_ms.append(("residual", waterfall.residual_ms))
    ends_ms = list(accumulate((change_ms for _, change_ms in changes_ms), initial=waterfall.baseline_ms))
    last = len(ends_ms)
    figure, (axis,) = new_figure(1.0 + 0.28 * (last + 1))
    axis.barh([0], [waterfall.baseline_ms], color=MUTED, height=0.7)
    for row, ((_, change_ms), start_ms, end_ms) in enumerate(zip(changes_ms, ends_ms, ends_ms[1:], strict=False), 1):
        axis.barh([row], [change_ms], left=[start_ms], color=SAVED if change_ms <= 0 else COSTS, height=0.7)
        axis.plot([start_ms, start_ms], [row - 1.35, row + 0.35], color=MUTED, linewidth=0.7)
        write_beside(axis, max(start_ms, end_ms), row, milliseconds(change_ms, sign=True))
    axis.barh([last], [waterfall.contender_ms], color="#0072B2", height=0.7)
    write_beside(axis, waterfall.baseline_ms, 0, milliseconds(waterfall.baseline_ms))
    write_beside(axis, waterfall.contender_ms, last, milliseconds(waterfall.contender_ms))
    name_rows(axis, [analysis.baseline, *(words for words, _ in changes_ms), shown.name])
    axis.set_xlim(0.0, max(ends_ms) * 1.1)
    axis.set_xlabel("ms, for as many windows as the baseline's step has (green: saved, red: costs more)")
    return figure
