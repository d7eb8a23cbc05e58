"""What all figures share: size, style, colours, and how they are saved.

Colours are Okabe and Ito's, which colour-blind readers can tell apart (Okabe and Ito 2008, "Color Universal Design").
Ink, grid and paper have colours of their own, which no data has, so that a page can exchange them for its own.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8A6D3B", "#F0E442")
MARKERS = "osD^vPX*"
INK, MUTED, GRID, PAPER = "#1f2328", "#6e7681", "#d8dee4", "#ffffff"

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "speedproof",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "axes.facecolor": "none",
    "figure.facecolor": PAPER,
    "savefig.facecolor": "auto",
    "hatch.color": MUTED,
    "hatch.linewidth": 0.6,
}
WIDTH_IN = 8.0
"""768 pixels in a browser: GitHub's width."""

PNG_DPI = 100.0

SMALL = 8.0
"""Points; nothing is written smaller."""


def new_figure(height_in: float, columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure that lays itself out, and its axes row by row."""
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, [axis for row in axes for axis in row]


def label(name: str, longest: int = 32) -> str:
    """Return a contender's name, cut where it is too long for an axis."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def name_rows(axis: Axes, names: list[str]) -> None:
    """Write one name beside each row, the first one on top."""
    axis.set_yticks(range(len(names)), [label(name) for name in names])
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(len(names) - 0.5, -0.5)


def stack_bars(axis: Axes, layers: Iterable[tuple[str, str, Sequence[float]]], count: int) -> list[float]:
    """Draw rows of bars, layer by layer (label, colour, width in each row); return where the rows end."""
    ends = [0.0] * count
    for words, colour, widths in layers:
        if any(widths):
            axis.barh(range(count), widths, left=ends, color=colour, label=words, height=0.72, edgecolor=PAPER,
                      linewidth=0.5)  # fmt: skip
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    return ends


def write_beside(axis: Axes, x: float, row: float, text: str, gap: int = 5) -> None:
    """Write what a mark stands for to its right, so many points away."""
    axis.annotate(text, (x, row), xytext=(gap, 0), textcoords="offset points", va="center", fontsize=SMALL)


def to_svg(figure: Figure) -> str:
    """Return the figure as SVG without date and program."""
    text = io.StringIO()
    with matplotlib.rc_context(STYLE):
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    _keep_layout(figure)
    return text.getvalue()


def to_png(figure: Figure) -> bytes:
    """Return the figure as PNG."""
    image = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.set_dpi(PNG_DPI)  # Drawing SVG leaves it at 72.
        canvas = FigureCanvasAgg(figure)
        options = {"compress_level": 1}  # TensorBoard holds few images: time counts more than size.
        canvas.print_png(image, metadata={"Software": None}, pil_kwargs=options)  # type: ignore[no-untyped-call]
    _keep_layout(figure)
    return image.getvalue()


def _keep_layout(figure: Figure) -> None:
    """Lay out once: neither another format nor `Figure.savefig`'s first, invisible drawing is to do it again."""
    figure.set_layout_engine("none")
