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
from reports.sections.select import best_explained


def draw_figures(analysis: Analysis, samples: TrialSamples) -> dict[str, Figure]:
    """Return the figures by name; one that would be empty is left out."""
    drawings: dict[str, Callable[[], Figure | None]] = {
        "speedup": lambda: draw_speedups(analysis),
        "phases": lambda: draw_phases(analysis),
        "ledger": lambda: draw_ledgers(analysis),
        "waterfall": lambda: draw_waterfall(analysis, best_explained(analysis)),
        "epochs": lambda: draw_epochs(analysis),
        "wall_clock": lambda: draw_wall_clock(analysis),
        "samples": lambda: draw_samples(samples),
        "roofline": lambda: draw_roofline(analysis),
    }
    with matplotlib.rc_context(STYLE):
        figures = {name: draw() for name, draw in drawings.items()}
    return {name: figure for name, figure in figures.items() if figure is not None}


def draw_table_plots(analysis: Analysis) -> dict[str, Figure]:
    """Return the small plots in the table of verdicts by name."""
    with matplotlib.rc_context(STYLE):
        return {ROW_PLOT + name: figure for name, figure in draw_row_plots(analysis).items()}
