"""report.html: well-formed, whole, on its own, and with nothing of a run's texts taken as markup."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from markdown_it import MarkdownIt

from harness.analysis.model import Analysis
from harness.analysis.verdict.reason import Reason
from reports.document import Document
from reports.figures.canvas import GRID, INK, PAPER, to_svg
from reports.figures.speedups import draw_table_plots
from reports.html import to_html
from reports.report import compose_report

NUMBER = re.compile(r"[−+]?\d[\d,.]*")


@pytest.fixture
def analysis(make_run: Any, analysed: Any, explained: ModuleType) -> Analysis:
    return explained.explain(analysed(make_run()))


def page(analysis: Analysis) -> str:
    svgs = {name: to_svg(figure) for name, figure in draw_table_plots(analysis).items()}
    return to_html(compose_report(analysis, svgs), svgs)


def parse(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(html.split("<!DOCTYPE html>")[1])


def tables(html: str) -> Iterator[list[list[str]]]:
    """Yield the texts of each table's cells, row by row."""
    root = ElementTree.fromstring(f"<x>{html}</x>") if not html.lstrip().startswith("<!DOCTYPE") else parse(html)
    for table in root.iter("table"):
        yield [["".join(cell.itertext()).replace("\u00a0", " ").strip() for cell in row] for row in table.iter("tr")]


def test_the_page_is_well_formed_and_its_ids_are_unique(built_run: Path) -> None:
    root = parse((built_run / "report.html").read_text(encoding="utf-8"))
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert [name for name, times in Counter(ids).items() if times > 1] == []
    svgs = [element for element in root.iter() if element.tag.endswith("}svg")]
    assert len(svgs) >= 8
    assert all(svg.get("aria-label") for svg in svgs)


def test_the_page_needs_nothing_but_itself(built_run: Path) -> None:
    root = parse((built_run / "report.html").read_text(encoding="utf-8"))
    ids = {element.get("id") for element in root.iter()}
    for element in root.iter():
        assert element.tag not in ("script", "link", "img", "iframe", "object", "base")
        for name, value in element.attrib.items():
            if name.rpartition("}")[2] in ("href", "src"):
                assert value.startswith("#")
                assert value[1:] in ids
            for target in re.findall(r"url\((.*?)\)", value):
                assert target.startswith("#")
                assert target[1:] in ids
    assert "@import" not in "".join(root.find("head/style").itertext())


def test_every_table_holds_what_the_markdown_report_holds(analysis: Analysis, render: Any) -> None:
    markdown = MarkdownIt("commonmark").enable("table").render(render(analysis))
    fragments = re.findall(r"<table>.*?</table>", markdown, flags=re.S)
    wanted = [table for fragment in fragments for table in tables(fragment)]
    shown = list(tables(to_html(compose_report(analysis), {})))
    assert len(wanted) > 12
    assert shown == wanted
    assert sum(len(NUMBER.findall(cell)) for table in wanted for row in table for cell in row) > 200


def test_foreign_text_is_never_markup(analysis: Analysis) -> None:
    evil = '<script>alert(1)</script> "quoted" & <b>bold</b>'
    contenders = tuple(
        replace(c, reasons=(Reason(rule="x", text=evil, numbers={}),), notes=(evil,)) for c in analysis.contenders
    )
    run = replace(analysis.run, name=evil, command=evil, data=analysis.run.data | {"source": evil, "tokenizer": evil})
    html = page(replace(analysis, run=run, contenders=contenders, warnings=(evil,), notes=(evil,)))
    root = parse(html)
    assert "<script" not in html
    assert not list(root.iter("b"))
    assert "".join(root.find("head/title").itertext()) == f"speedproof report: {evil}"


def test_figures_take_the_colours_of_the_page(analysis: Analysis) -> None:
    html = page(analysis)
    svgs = re.findall(r"<svg.*?</svg>", html, flags=re.S)
    assert svgs
    assert all(colour not in svg for svg in svgs for colour in (INK, GRID, PAPER))
    assert any("var(--grid)" in svg for svg in svgs)
    assert "prefers-color-scheme: dark" in html


def test_details_are_folded(analysis: Analysis) -> None:
    root = parse(page(analysis))
    summaries = ["".join(element.itertext()) for element in root.iter("summary")]
    assert "The whole configuration" in summaries
    assert all(element.get("open") is None for element in root.iter("details"))


def test_ranges_do_not_break_inside(analysis: Analysis) -> None:
    html = page(analysis)
    assert "1.20× (1.18\u00a0to\u00a01.22)" in html
    assert "1.47\u00a0GiB" in html


def test_a_page_without_figures_or_sections_is_whole() -> None:
    root = parse(to_html(Document(title="nothing", blocks=(), sections=()), {}))
    assert "".join(root.find("body/main/header/h1").itertext()) == "nothing"
