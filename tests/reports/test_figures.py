"""Figures: the same bytes for the same records, opaque, and only where there is something to draw."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from harness.analysis.analyse import analyse
from harness.analysis.evidence.sampling import NO_SAMPLES
from harness.records.store import load_run
from harness.records.trial import MetricRecord, ScoringRecord
from reports.build import baseline_samples
from reports.document import Picture, Section
from reports.figures.canvas import SMALL, to_png, to_svg
from reports.figures.gallery import draw_figures
from reports.figures.speedups import draw_table_plots
from reports.report import SECTIONS

ALL = {"speedup", "phases", "ledger", "waterfall", "epochs", "wall_clock", "samples", "roofline"}


def draw(run: Path, analysed: Any) -> dict[str, Figure]:
    analysis = analysed(run)
    return draw_figures(analysis, baseline_samples(load_run(run), analysis))


@pytest.fixture(scope="module")
def figures(built_run: Path) -> dict[str, Figure]:
    """The figures of a run on a GPU."""
    return draw(built_run, lambda run: analyse(load_run(run)))


def test_figures_are_deterministic(built_run: Path, figures: dict[str, Figure]) -> None:
    before = dict(matplotlib.rcParams)
    assert set(figures) == ALL
    for name, figure in figures.items():
        svg = to_svg(figure)
        assert svg == (built_run / "figures" / f"{name}.svg").read_text(encoding="utf-8")
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert "<dc:date>" not in svg
        assert "fill: #ffffff" in svg
        assert "<text" not in svg
    assert dict(matplotlib.rcParams) == before


def pictures(section: Section) -> Iterator[str]:
    for block in section.blocks:
        if isinstance(block, Section):
            yield from pictures(block)
        elif isinstance(block, Picture):
            yield block.name


def test_every_figure_stands_in_one_section(built_run: Path, analysed: Any) -> None:
    analysis = analysed(built_run)
    shown = [name for section in SECTIONS for name in pictures(section(analysis))]
    assert sorted(shown) == sorted(ALL)


def test_the_published_reference_stands_beside_the_same_metrics_only(built_run: Path, analysed: Any) -> None:
    analysis = analysed(built_run)
    other = ScoringRecord(metrics=(MetricRecord(name="accuracy", title="accuracy"),
                                   MetricRecord(name="f1", title="F1")), headline="f1")  # fmt: skip
    for scoring, published in ((analysis.scoring, 1), (other, 0)):
        figure = draw_figures(replace(analysis, scoring=scoring), NO_SAMPLES)["epochs"]
        for axis in figure.axes:
            assert sum(line.get_label() == "published reference" for line in axis.lines) == published


def test_nothing_is_written_too_small(figures: dict[str, Figure]) -> None:
    for name, figure in figures.items():
        for text in figure.findobj(Text):
            assert text.get_fontsize() >= SMALL, (name, text.get_text())


def test_panels_of_the_timeline(figures: dict[str, Figure], make_run: Any, analysed: Any) -> None:
    gpu = [axis.get_ylabel() for axis in figures["samples"].axes]
    assert gpu == ["utilisation (%)", "power (W)", "memory (GiB)", "clocks (MHz)"]
    host = [axis.get_ylabel() for axis in draw(make_run(seeds=1), analysed)["samples"].axes]
    assert host == ["CPU (% of one core)", "memory (GiB)", "load average"]


def test_speedups_show_intervals_and_the_noise_floor(
    figures: dict[str, Figure], built_run: Path, analysed: Any
) -> None:
    (axis,) = figures["speedup"].axes
    job = analysed(built_run).contenders[1].evidence.job
    bands = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axis.patches]
    assert bands[0] == pytest.approx((1 / (1 + job.floor), 1 + job.floor))
    whiskers = [tuple(line.get_xdata()) for line in axis.lines]
    assert (job.ratio.low, job.ratio.high) in whiskers


def test_small_plots_share_one_axis(built_run: Path, analysed: Any) -> None:
    plots = draw_table_plots(analysed(built_run))
    assert set(plots) == {"speedup-baseline", "speedup-amp_bf16", "speedup-fused_adamw+sdpa"}
    assert len({plot.axes[0].get_xlim() for plot in plots.values()}) == 1
    job = analysed(built_run).contenders[1].evidence.job
    axis = plots["speedup-amp_bf16"].axes[0]
    band = axis.patches[0]
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((1 / (1 + job.floor), 1 + job.floor))
    assert (job.ratio.low, job.ratio.high) in [tuple(line.get_xdata()) for line in axis.lines]


def test_both_formats_are_drawn_from_one_layout(figures: dict[str, Figure]) -> None:
    svg = to_svg(figures["phases"])
    assert to_png(figures["phases"]).startswith(b"\x89PNG")
    assert to_svg(figures["phases"]) == svg


def test_empty_figures_are_left_out(make_run: Any, analysed: Any) -> None:
    run = make_run(seeds=1)
    shutil.rmtree(run / "trials/baseline")
    assert set(draw(run, analysed)) == {"phases", "epochs", "wall_clock", "ledger"}
    shutil.rmtree(run / "trials")
    assert draw(run, analysed) == {}
    assert draw_table_plots(analysed(run)) == {}


def test_damaged_samples_are_no_figure(make_run: Any, analysed: Any) -> None:
    run = make_run(seeds=1)
    (run / "trials/baseline/0/host.csv").unlink()
    assert set(draw(run, analysed)) == ALL - {"samples"}
