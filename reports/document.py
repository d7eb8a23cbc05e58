"""A report's content, free of any format: sections of blocks, blocks of text.

Sections build these and never escape anything; `reports.markdown` and `reports.html` turn them into a file and escape
everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias


@dataclass(frozen=True, kw_only=True)
class Span:
    """Some characters in one style."""

    text: str
    kind: Literal["text", "code", "strong", "emphasis", "link", "picture"]
    target: str = ""
    """Of a link: its path or address. Of a picture: the figure's name, `text` says what it shows."""


Text: TypeAlias = "str | Span | tuple[Text, ...]"
"""What a sentence or a table cell is made of."""


def code(text: str) -> Span:
    """Return a name or a value as the program writes it."""
    return Span(text=text, kind="code")


def strong(text: str) -> Span:
    """Return what must not be overlooked."""
    return Span(text=text, kind="strong")


def emphasis(text: str) -> Span:
    """Return text that is told apart from its neighbours."""
    return Span(text=text, kind="emphasis")


def link(text: str, target: str) -> Span:
    """Return a link to a file of the run directory, or to an address."""
    return Span(text=text, kind="link", target=target)


def picture(name: str, what: str) -> Span:
    """Return a small figure for a table cell; `what` says the same in words."""
    return Span(text=what, kind="picture", target=name)


def spans(text: Text) -> Iterator[Span]:
    """Yield the spans of a text in order."""
    if isinstance(text, str):
        yield Span(text=text, kind="text")
    elif isinstance(text, Span):
        yield text
    else:
        for part in text:
            yield from spans(part)


def marked_text(text: str) -> Text:
    """Return a sentence whose `names` and `commands` stand in backticks."""
    return tuple(code(part) if number % 2 else part for number, part in enumerate(text.split("`")))


def plain_text(text: Text) -> str:
    """Return the characters without their styles."""
    return "".join(span.text for span in spans(text))


def joined(parts: Iterable[Text], separator: str = ", ") -> Text:
    """Return the parts with a separator between them."""
    pieces: list[Text] = []
    for part in parts:
        pieces += [separator, part] if pieces else [part]
    return tuple(pieces)


def listed(parts: Sequence[Text]) -> Text:
    """Return the parts as a sentence lists them: a, b and c."""
    *first, last = parts
    return (joined(first), " and ", last) if first else last


def contender_name(name: str) -> Text:
    """Return a contender's name; between the parts of a stack a line may break, so that a column can be narrow."""
    return joined((code(part) for part in name.split("+")), " + ")


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """One paragraph; a headline is the result in one sentence, and "warn" makes the headline doubtful."""

    kind: Literal["paragraph", "headline", "warn"] = "paragraph"
    text: Text


@dataclass(frozen=True, kw_only=True)
class Bullets:
    """A list."""

    kind: ClassVar[str] = "bullets"
    items: tuple[Text, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells; every row is as long as the headers."""

    kind: ClassVar[str] = "table"
    headers: tuple[Text, ...]
    rows: tuple[tuple[Text, ...], ...]
    align: str
    """An l or r for each column."""

    def __post_init__(self) -> None:
        if len(self.align) != len(self.headers):
            raise ValueError(f"{len(self.align)} sides for {len(self.headers)} headers")
        wrong = [row for row in self.rows if len(row) != len(self.headers)]
        if wrong:
            raise ValueError(f"a row has {len(wrong[0])} cells under {len(self.headers)} headers")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure with what it shows in words; the report leaves it out where it was not drawn."""

    kind: ClassVar[str] = "picture"
    name: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Lines of a program or a file, as they are."""

    kind: ClassVar[str] = "listing"
    text: str
    language: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and what is below it."""

    kind: ClassVar[str] = "section"
    title: Text
    blocks: tuple[Block, ...]
    folded: bool = False
    """Details that few readers need: a format that can fold them away does."""


Block: TypeAlias = "Paragraph | Bullets | Table | Picture | Listing | Section"


@dataclass(frozen=True, kw_only=True)
class Document:
    """A whole report."""

    title: Text
    blocks: tuple[Block, ...]
    """What stands above the first section."""
    sections: tuple[Section, ...]


def paragraph(*parts: Text) -> Paragraph:
    """Return a paragraph of these parts."""
    return Paragraph(text=parts)


def bullets(items: Iterable[Text]) -> tuple[Bullets, ...]:
    """Return a list, or nothing if there are no items."""
    found = tuple(items)
    return (Bullets(items=found),) if found else ()


def table(headers: Iterable[Text], rows: Iterable[Iterable[Text]], align: str = "l") -> tuple[Table, ...]:
    """Return a table, or nothing if it has no rows; `align` holds an l or r for each column, missing ones are r."""
    heads, body = tuple(headers), tuple(tuple(row) for row in rows)
    return (Table(headers=heads, rows=body, align=align.ljust(len(heads), "r")),) if body else ()
