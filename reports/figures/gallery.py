"""All figures of a report by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.figure import Figure

from reports.figures import epochs, ledger, machine_speed, phases, roofline, speedups
from reports.figures.canvas import STYLE
from reports.figures.samples import draw_samples

if TYPE_CHECKING:
    from harness.analysis.evidence.sampling import TrialSamples
    from harness.analysis.model import Analysis


def draw_figures(analysis: Analysis, samples: TrialSamples) -> dict[str, Figure]:
    """Return the figures by name; one that would be empty is left out."""
    drawings: dict[str, Callable[[Analysis], Figure | None]] = {
        "speedup": speedups.draw,
        "phases": phases.draw,
        "ledger": ledger.draw,
        "waterfall": ledger.draw_waterfall,
        "epochs": epochs.draw,
        "wall_clock": epochs.draw_wall_clock,
        "samples": lambda _: draw_samples(samples),
        "machine_speed": machine_speed.draw,
        "roofline": roofline.draw,
    }
    with matplotlib.rc_context(STYLE):
        figures = {name: draw(analysis) for name, draw in drawings.items()}
    return {name: figure for name, figure in figures.items() if figure is not None}
