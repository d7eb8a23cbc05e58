"""`report.md`: a document as GitHub-flavoured Markdown, without raw HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from urllib.parse import quote

from reports.document import (
    Block,
    Bullets,
    Document,
    Headline,
    Listing,
    Paragraph,
    Picture,
    Section,
    Span,
    Table,
    Text,
    Warn,
    spans,
)

FIGURE_FOLDER = "figures"

_MARKUP = re.compile(r"[\\*`\[\]~$]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")
_WHITE = re.compile(r"[^\S\u00a0]+")
"""Anything that ends a line or a word; spaces that don't break stay."""

_URL_CHARACTERS = "/:+#?=&"


def to_markdown(document: Document) -> str:
    """Return the whole report."""
    parts = [f"# {inline(document.title)}", blocks(document.blocks), blocks(document.sections)]
    return "\n\n".join(part for part in parts if part) + "\n"


def blocks(content: Iterable[Block], depth: int = 2) -> str:
    """Return blocks one below the other; sections among them get headings of that depth."""
    return "\n\n".join(_block(block, depth) for block in content)


def _block(block: Block, depth: int) -> str:
    if isinstance(block, Section):
        body = blocks(block.blocks, depth + 1)
        return f"{'#' * depth} {inline(block.title)}\n\n{body}"
    if isinstance(block, Headline):
        return f"**{inline(block.text)}**"
    if isinstance(block, Paragraph):
        return _line_start(inline(block.text))
    if isinstance(block, Warn):
        return f"> **Careful:** {inline(block.text)}"
    if isinstance(block, Bullets):
        return "\n".join(f"- {_line_start(inline(item))}" for item in block.items)
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Picture):
        return f"![{inline(block.caption)}]({figure_path(block.name)})"
    return fenced(block)


def inline(text: Text) -> str:
    """Return a text in one line that Markdown shows as it is, in a table cell too."""
    return "".join(_span(span) for span in spans(text))


def _span(span: Span) -> str:
    flat = _WHITE.sub(" ", span.text)
    if not flat:
        return ""
    if span.kind == "code":
        return _code(flat)
    if span.kind == "strong":
        return f"**{escape(flat)}**"
    if span.kind == "emphasis":
        return f"*{escape(flat)}*"
    if span.kind == "link":
        return f"[{escape(flat)}]({quote(span.target, safe=_URL_CHARACTERS)})"
    if span.kind == "picture":
        return f"![{escape(flat)}]({figure_path(span.target)})"
    return escape(flat)


def escape(text: str) -> str:
    """Return foreign characters so that none of them is markup."""
    escaped = html.escape(text, quote=False)
    return _MARKUP.sub(lambda match: "\\" + match.group(), escaped).replace("|", "&#124;")


def _code(text: str) -> str:
    """A bar would end a table cell and a backtick the code: such text stays plain."""
    return escape(text) if "|" in text or "`" in text else f"`{text}`"


def _line_start(text: str) -> str:
    """Text must not become a heading, a list or a quotation by how it begins."""
    return f"\\{text}" if re.match(r"[#>+\-=]", text) else re.sub(r"^(\d+)([.)])", r"\1\\\2", text)


def figure_path(name: str) -> str:
    """Return where a figure's file lies, relative to the report, as the target of a link."""
    return quote(f"{FIGURE_FOLDER}/{name}.svg", safe=_URL_CHARACTERS)


def _table(block: Table) -> str:
    rule = [":---" if side == "l" else "---:" for side in block.sides]
    lines = [[inline(cell) for cell in row] for row in (block.headers, *block.rows)]
    lines.insert(1, rule)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def fenced(block: Listing) -> str:
    """Return a block of code that its text can't break out of."""
    longest = max((len(run) for run in re.findall(r"`+", block.text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{block.language}\n{block.text.rstrip()}\n{fence}"
