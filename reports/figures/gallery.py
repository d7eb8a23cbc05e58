"""All figures of a report by name."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib
from matplotlib.figure import Figure

from harness.analysis.evidence.sampling import TrialSamples
from harness.analysis.model import Analysis
from reports.figures.canvas import STYLE
from reports.figures.epochs import draw_epochs, draw_wall_clock
from reports.figures.ledger import draw_ledgers, draw_waterfall
from reports.figures.phases import draw_phases
from reports.figures.roofline import draw_roofline
from reports.figures.samples import draw_samples
from reports.figures.speedups import draw_row_plots, draw_speedups
from reports.sections.overview import ROW_PLOT


def draw_figures(analysis: Analysis, samples: TrialSamples) -> dict[str, Figure]:
    """Return the figures by name; one that would be empty is left out."""
    drawings: dict[str, Callable[[Analysis], Figure | None]] = {
        "speedup": draw_speedups,
        "phases": draw_phases,
        "ledger": draw_ledgers,
        "waterfall": draw_waterfall,
        "epochs": draw_epochs,
        "wall_clock": draw_wall_clock,
        "samples": lambda _: draw_samples(samples),
        "roofline": draw_roofline,
    }
    with matplotlib.rc_context(STYLE):
        figures = {name: draw(analysis) for name, draw in drawings.items()}
    return {name: figure for name, figure in figures.items() if figure is not None}


def draw_table_plots(analysis: Analysis) -> dict[str, Figure]:
    """Return the small plots in the table of verdicts by name."""
    with matplotlib.rc_context(STYLE):
        return {ROW_PLOT + name: figure for name, figure in draw_row_plots(analysis).items()}
