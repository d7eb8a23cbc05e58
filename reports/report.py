"""The whole report in order, free of any format."""

from __future__ import annotations

from collections.abc import Container

from harness.analysis.model import Analysis
from reports.document import Document
from reports.sections.bottleneck import bottleneck_section
from reports.sections.epochs import curves_section, epochs_section
from reports.sections.overview import overview
from reports.sections.quality import quality_section
from reports.sections.roof import roof_section
from reports.sections.sampler import sampler_section
from reports.sections.setup import environment_section, reproduce_section, trust_section
from reports.sections.speed import speed_section
from reports.sections.where_time_goes import time_section
from reports.sections.work import work_section


def compose_report(analysis: Analysis, drawn: Container[str] = ()) -> Document:
    """Return the report; `drawn` holds the names of the figures that there are."""
    sections = (
        speed_section(analysis, drawn),
        quality_section(analysis),
        epochs_section(analysis),
        bottleneck_section(analysis),
        time_section(analysis, drawn),
        curves_section(analysis, drawn),
        sampler_section(analysis, drawn),
        roof_section(analysis, drawn),
        work_section(analysis),
        trust_section(analysis),
        environment_section(analysis),
        reproduce_section(analysis),
    )
    return Document(
        title=f"speedproof report: {analysis.run.name}",
        blocks=overview(analysis, drawn),
        sections=tuple(section for section in sections if section is not None),
    )
