"""Where questions come from: the hub or its local cache, SQuAD v1.1 files, or the built-in generator."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config import DataConfig
from harness.data.files import parse_json, read_text
from harness.data.hub import load_split
from harness.errors import DataError
from harness.tasks.question_answering.examples import Answer, Example
from harness.tasks.sources import load_sets

_V1_REMEDY = "give SQuAD v1.1 data, or leave out questions without an answer (v2 marks them is_impossible)"
_COLUMNS = ("answers", "context", "id", "question")
_KIND_NAMES = {dict: "an object", list: "a list", str: "a text", int: "a whole number"}


def load_examples(config: DataConfig) -> tuple[list[Example], list[Example]]:
    """Return training and validation examples, as `load_sets` has it."""
    generator = "harness.tasks.question_answering.generator"
    return load_sets(config, read_file=read_squad_file, read_hub=load_hub_split, generator_module=generator)


def read_squad_file(path: Path, limit: int | None = None) -> list[Example]:
    """Return the first `limit` questions (None: all) of a SQuAD v1.1 JSON file, checked as far as they are read.

    Raises DataError that names the file and the place in it: not found, not UTF-8, not JSON, a field missing or of the
    wrong type, an answer that doesn't stand where it should, a question without answer (SQuAD v2), an id twice.
    """
    document = parse_json(read_text(path, "a SQuAD v1.1 JSON file"), path)
    root = _Node(document, source=str(path), place="")
    questions = (
        (question, context)
        for article in root.items("data")
        for paragraph in article.items("paragraphs")
        for context in [paragraph.text("context")]
        for question in paragraph.items("qas")
    )
    built = []
    for question, context in itertools.islice(questions, limit):
        answers = [(node.text("text"), node.field("answer_start", int).value) for node in question.items("answers")]
        # v2 gives plausible answers elsewhere, but some tools keep them here and only set the mark.
        if question.value.get("is_impossible") is True:
            answers = []
        built.append(_build_example(question, context, answers))
    examples = _unique(built, str(path))
    if not examples:
        raise DataError(f"{path} has no questions", remedy="give a SQuAD v1.1 file with at least one")
    return examples


def load_hub_split(hub_id: str, split: str, limit: int | None = None) -> list[Example]:
    """Return the first `limit` questions (None: all) of one split of a hub data set with SQuAD's columns.

    Raises DataError as `load_split` does, and of rows that are not as they should be.
    """
    dataset = load_split(hub_id, split, _COLUMNS)
    source = f"hub data set {hub_id}"
    columns = dataset[:limit]
    examples = []
    for i, values in enumerate(zip(*(columns[name] for name in _COLUMNS), strict=True)):
        row = _Node(dict(zip(_COLUMNS, values, strict=True)), source, f"{split}[{i}]")
        answers = row.field("answers", dict)
        texts = [node.require(str).value for node in answers.items("text")]
        starts = [node.require(int).value for node in answers.items("answer_start")]
        if len(texts) != len(starts):
            raise answers.error(f"{answers.place} has {len(texts)} texts and {len(starts)} starts")
        examples.append(_build_example(row, row.text("context"), list(zip(texts, starts, strict=True))))
    return _unique(examples, source)


@dataclass(frozen=True, slots=True)
class _Node:
    """A value somewhere in a document, which knows its place for error messages."""

    value: Any
    source: str
    place: str

    def field(self, name: str, kind: type) -> _Node:
        """Return the field `name` of this object, which must be of `kind`."""
        self.require(dict)
        place = f"{self.place}.{name}".lstrip(".")
        if name not in self.value:
            raise self.error(f"{place} is missing")
        node = _Node(self.value[name], self.source, place)
        return node.require(kind)

    def items(self, name: str) -> Iterator[_Node]:
        """Yield the items of the list `name` of this object."""
        node = self.field(name, list)
        for number, item in enumerate(node.value):
            yield _Node(item, self.source, f"{node.place}[{number}]")

    def text(self, name: str) -> str:
        """Return the text in the field `name`."""
        node = self.field(name, str)
        try:
            node.value.encode()
        except UnicodeEncodeError as error:
            raise self.error(f"{node.place} has half a character (a lone surrogate) at {error.start}") from None
        return str(node.value)

    def require(self, kind: type) -> _Node:
        """Return this node if its value is of `kind`."""
        if not isinstance(self.value, kind) or isinstance(self.value, bool):
            found = "null" if self.value is None else _KIND_NAMES.get(type(self.value), type(self.value).__name__)
            raise self.error(f"{self.place or 'the document'} is {found}, expected {_KIND_NAMES[kind]}")
        return self

    def error(self, text: str) -> DataError:
        """Return the error that says `text` of this node's source."""
        return DataError(f"{self.source}: {text}", remedy="correct that place; the format is SQuAD v1.1's")


def _build_example(node: _Node, context: str, answers: list[tuple[str, int]]) -> Example:
    """Return the example with its answers checked against the passage."""
    key = node.text("id")
    if not answers:
        raise DataError(f"{node.source}: question {key!r} has no answer, which only SQuAD v2 allows", remedy=_V1_REMEDY)
    for text, start in answers:
        if not text.strip():
            raise DataError(f"{node.source}: question {key!r} has an empty answer", remedy=_V1_REMEDY)
        if start < 0 or not context.startswith(text, start):
            raise DataError(
                f"{node.source}: question {key!r}: the answer {text!r} is not at answer_start {start} of its context",
                remedy="count answer_start in characters (not bytes) from the start of the context",
            )
    return Example(
        id=key,
        question=node.text("question"),
        context=context,
        answers=tuple(Answer(text=text, start=start) for text, start in answers),
    )


def _unique(examples: list[Example], source: str) -> list[Example]:
    found: dict[str, Example] = {}
    for example in examples:
        if example.id in found:
            raise DataError(f"{source}: question id {example.id!r} comes twice", remedy="give each question its own")
        found[example.id] = example
    return list(found.values())
