"""`report.html`: a document as one file that needs nothing else: no script, no network.

The template escapes every text; figures are drawn by us and go in as they are, with their own ids and in the page's
colours.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from functools import partial

import jinja2
from markupsafe import Markup, escape

from reports.document import Document, plain_text, spans
from reports.figures.canvas import COLOURS, GRID, INK, MUTED, PAPER

TEMPLATE = "report.html.j2"

PAGE_COLOURS = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    PAPER: "var(--paper)",
    COLOURS[0].lower(): "var(--blue)",
}
"""What the page exchanges in a figure, so that it fits a dark page too; matplotlib writes small letters."""

_RANGE = re.compile(r"(?<=[\d×]) (?=(?:to|%|s|ms|GiB|J|kJ)\b|%)|(?<=\bto) (?=[+−\d])")
"""Where a number in a table must not break: between it and its unit, and inside a range."""

_ID = re.compile(r'(\bid="|href="#|url\(#)')


def to_html(document: Document, svgs: Mapping[str, str]) -> str:
    """Return the page; `svgs` holds the figures by name."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports", "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=True,
    )
    environment.filters |= {
        "spans": spans,
        "plain_text": plain_text,
        "anchor": lambda section: re.sub(r"[^a-z0-9]+", "-", plain_text(section.title).lower()).strip("-"),
        "unbroken": partial(_RANGE.sub, "\u00a0"),
    }
    # A small plot may stand in more than one place, so each place counts.
    places = itertools.count()
    environment.globals["figure"] = lambda name, what: _inline_svg(svgs.get(name, ""), f"f{next(places)}-", what)
    return environment.get_template(TEMPLATE).render(document=document)


def _inline_svg(svg: str, prefix: str, what: str) -> Markup:
    """Return a figure for use inside a page: ids that no other figure has, the page's colours, what it shows."""
    start = svg.find("<svg")
    if start < 0:
        return Markup()
    own = _ID.sub(rf"\g<1>{prefix}", svg[start:])
    for colour, variable in PAGE_COLOURS.items():
        own = own.replace(colour, variable)
    return Markup(own.replace("<svg", f'<svg role="img" aria-label="{escape(what)}"', 1))
