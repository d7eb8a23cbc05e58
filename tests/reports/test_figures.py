"""Figures: the same bytes for the same records, opaque, and only where there is something to draw."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from harness.storage import load_run
from reports.build import baseline_samples
from reports.figures import draw_figures, to_png, to_svg

ALL = {"speedup", "phases", "epochs", "samples"}


def svgs(run: Path, analysed: Any) -> dict[str, str]:
    analysis = analysed(run)
    figures = draw_figures(analysis, baseline_samples(load_run(run), analysis))
    return {name: to_svg(figure) for name, figure in figures.items()}


@pytest.mark.parametrize("gpu", [False, True])
def test_figures_are_deterministic(make_run: Any, analysed: Any, gpu: bool) -> None:
    first, second = (svgs(make_run(name, gpu=gpu), analysed) for name in ("a", "b"))
    assert set(first) == ALL
    assert first == second
    for svg in first.values():
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert "<dc:date>" not in svg
        assert "fill: #ffffff" in svg
        assert "<text" not in svg


def test_drawing_leaves_global_settings_alone(make_run: Any, analysed: Any) -> None:
    before = dict(matplotlib.rcParams)
    svgs(make_run(), analysed)
    assert dict(matplotlib.rcParams) == before


def test_pngs_are_images(make_run: Any, analysed: Any) -> None:
    run = make_run(seeds=1)
    analysis = analysed(run)
    figures = draw_figures(analysis, baseline_samples(load_run(run), analysis))
    assert all(to_png(figure).startswith(b"\x89PNG") for figure in figures.values())


def test_empty_figures_are_left_out(make_run: Any, analysed: Any) -> None:
    run = make_run()
    shutil.rmtree(run / "trials/baseline")
    assert set(svgs(run, analysed)) == {"phases", "epochs"}
    shutil.rmtree(run / "trials")
    assert svgs(run, analysed) == {}


def test_damaged_samples_are_no_figure(make_run: Any, analysed: Any) -> None:
    run = make_run(seeds=1)
    (run / "trials/baseline/0/host.csv").unlink()
    assert set(svgs(run, analysed)) == ALL - {"samples"}
