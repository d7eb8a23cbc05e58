"""Blocks and their Markdown: foreign text is shown as it is, and a table can't be made wrong."""

from __future__ import annotations

from typing import Any

import pytest
from markdown_it import MarkdownIt

from reports import document
from reports.document import Listing, Table
from reports.markdown import blocks, inline

NASTY = "a|b `c` <d> [e](f) *g* __h__ ~~i~~ $j$ k\nl &amp; \\m _n_ snake_case"


def rendered(text: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)


def test_cells_show_foreign_text_as_it_is() -> None:
    cells = (NASTY, document.code(NASTY), document.strong(NASTY), document.link(NASTY, "a (b)|c"))
    html = rendered(blocks(document.table(("w", "x", "y", "z"), [cells])))
    row = html.split("<tbody>")[1]
    assert row.count("<td") == 4
    for tag in ("<em>", "<s>", "<d>"):
        assert tag not in row
    assert row.count("<strong>") == 1
    assert row.count("<a ") == 1
    assert row.count("&lt;d&gt;") == 4
    assert "snake_case" in row


@pytest.mark.parametrize("text", ["# no heading", "- no list", "1. no list", "> no quotation", "+ no", "=== no"])
def test_text_can_not_begin_a_block(text: str) -> None:
    html = rendered(blocks([document.paragraph(text)]))
    assert html == f"<p>{text.replace('>', '&gt;')}</p>\n"


def test_code_can_not_leave_its_fence() -> None:
    html = rendered(blocks([Listing(text="a\n```\n# heading", language="sh")]))
    assert "<h1>" not in html
    assert "# heading" in html


def test_a_long_name_may_break_between_its_parts() -> None:
    assert inline(document.contender_name("a+b_c")) == "`a` + `b_c`"


@pytest.mark.parametrize(("rows", "align"), [((("a",),), "l"), ((("a", "b"),), "lll")])
def test_a_table_whose_cells_do_not_fit_is_an_error(rows: tuple[tuple[str, ...], ...], align: str) -> None:
    with pytest.raises(ValueError, match="headers"):
        Table(headers=("x", "y"), rows=rows, align=align)


def test_nothing_becomes_no_block() -> None:
    assert document.table(("x",), []) == ()
    assert document.bullets([]) == ()


def test_figures_that_were_not_drawn_are_left_out_and_sections_of_nothing_else_too(
    make_run: Any, analysed: Any, render: Any
) -> None:
    analysis = analysed(make_run(seeds=1))
    text = render(analysis, {"epochs"})
    assert "![Training loss" in text
    assert "F1 against the time" not in text
    assert "## Loss, EM and F1" not in render(analysis)
