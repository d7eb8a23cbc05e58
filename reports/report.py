"""The whole report in order, free of any format."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import replace
from typing import TYPE_CHECKING

from reports.document import Document, Picture, Section
from reports.sections import bottleneck, epochs, expected, quality, roof, sampler, setup, speed, where_time_goes, work
from reports.sections.overview import overview

if TYPE_CHECKING:
    from harness.analysis.model import Analysis

SECTIONS: tuple[Callable[[Analysis], Section], ...] = (
    expected.section,
    speed.section,
    quality.section,
    epochs.section,
    bottleneck.section,
    where_time_goes.section,
    epochs.curves,
    sampler.section,
    roof.section,
    work.section,
    setup.trust,
    setup.what_was_run,
    setup.reproduce,
)
"""In the order of the report. A new one is a function in a module of `sections`, and a line here."""


def compose_report(analysis: Analysis, drawn: Container[str] = ()) -> Document:
    """Return the report; `drawn` holds the names of the figures that there are."""
    sections = (_with_figures(section(analysis), drawn) for section in SECTIONS)
    return Document(
        title=f"speedproof report: {analysis.run.name}",
        blocks=overview(analysis, drawn),
        sections=tuple(section for section in sections if section.blocks),
    )


def _with_figures(section: Section, drawn: Container[str]) -> Section:
    """Leave out what was not drawn."""
    blocks = (
        _with_figures(block, drawn) if isinstance(block, Section) else block
        for block in section.blocks
        if not isinstance(block, Picture) or block.name in drawn
    )
    return replace(section, blocks=tuple(blocks))
