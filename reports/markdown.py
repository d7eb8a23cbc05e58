"""`report.md`: a document as GitHub-flavoured Markdown, without raw HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from urllib.parse import quote

from reports.document import Block, Bullets, Document, Paragraph, Picture, Section, Table, Text, picture, spans

FIGURE_FOLDER = "figures"

_MARKUP = re.compile(r"[\\*`\[\]~$]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")
_WHITE = re.compile(r"[^\S\u00a0]+")
"""Anything that ends a line or a word; spaces that don't break stay."""

_SPANS = {"strong": "**{}**", "emphasis": "*{}*", "link": "[{}]({})", "picture": "![{}]({})"}
"""By the kind of span; every other one is plain."""


def to_markdown(document: Document) -> str:
    """Return the whole report."""
    parts = [f"# {inline(document.title)}", blocks(document.blocks), blocks(document.sections)]
    return "\n\n".join(part for part in parts if part) + "\n"


def blocks(content: Iterable[Block], depth: int = 2) -> str:
    """Return blocks one below the other; sections among them get headings of that depth."""
    return "\n\n".join(_block(block, depth) for block in content)


def _block(block: Block, depth: int) -> str:
    if isinstance(block, Section):
        return f"{'#' * depth} {inline(block.title)}\n\n{blocks(block.blocks, depth + 1)}"
    if isinstance(block, Paragraph):
        text = inline(block.text)
        return {"headline": f"**{text}**", "warn": f"> **Careful:** {text}", "paragraph": _line_start(text)}[block.kind]
    if isinstance(block, Bullets):
        return "\n".join(f"- {_line_start(inline(item))}" for item in block.items)
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Picture):
        return inline(picture(block.name, block.caption))
    # A fence longer than any run of backticks inside: the text can't break out of it.
    fence = "`" * (1 + max((2, *(len(run) for run in re.findall(r"`+", block.text)))))
    return f"{fence}{block.language}\n{block.text.rstrip()}\n{fence}"


def inline(text: Text) -> str:
    """Return a text in one line that Markdown shows as it is, in a table cell too."""
    parts = []
    for span in spans(text):
        flat = _WHITE.sub(" ", span.text)
        # A bar would end a table cell and a backtick the code: such text stays plain.
        if span.kind == "code" and flat and not {"|", "`"} & set(flat):
            parts.append(f"`{flat}`")
        elif flat:
            escaped = _MARKUP.sub(r"\\\g<0>", html.escape(flat, quote=False)).replace("|", "&#124;")
            target = f"{FIGURE_FOLDER}/{span.target}.svg" if span.kind == "picture" else span.target
            parts.append(_SPANS.get(span.kind, "{}").format(escaped, quote(target, safe="/:+#?=&")))
    return "".join(parts)


def _line_start(text: str) -> str:
    """Text must not become a heading, a list or a quotation by how it begins."""
    return f"\\{text}" if re.match(r"[#>+\-=]", text) else re.sub(r"^(\d+)([.)])", r"\1\\\2", text)


def _table(block: Table) -> str:
    lines = [[inline(cell) for cell in row] for row in (block.headers, *block.rows)]
    lines.insert(1, [":---" if side == "l" else "---:" for side in block.align])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
