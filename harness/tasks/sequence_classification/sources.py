"""Where labelled texts come from: CSV, JSON and JSON-lines files, the hub or its local cache, or the generator."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.config import DataConfig
from harness.data.files import parse_json, read_text
from harness.data.hub import load_split
from harness.errors import DataError
from harness.tasks.sequence_classification.examples import Example
from harness.tasks.sources import load_sets

_FORM = "a CSV, JSON or JSON-lines file with the fields text and label"

_Row = tuple[str, Any]
"""Where it stands, in words, and its fields."""


def load_examples(config: DataConfig) -> tuple[list[Example], list[Example]]:
    """Return training and validation examples, as `load_sets` has it; their classes are those of the training set."""
    generator = "harness.tasks.sequence_classification.generator"
    train, validation = load_sets(config, read_file=read_file, read_hub=load_hub_split, generator_module=generator)
    classes = tuple(sorted({example.label for example in train}))
    if len(classes) < 2:
        raise DataError(
            f"all texts of the training set have the label {classes[0]!r}", remedy="give texts of two classes at least"
        )
    strangers = sorted({example.label for example in validation} - set(classes))
    if strangers:
        raise DataError(
            f"the validation set has the label {strangers[0]!r}, which no text of the training set has",
            remedy=f"use the labels {', '.join(classes)}, or take more training examples",
        )
    sets = [[replace(example, classes=classes) for example in examples] for examples in (train, validation)]
    return sets[0], sets[1]


def read_file(path: Path, limit: int | None = None) -> list[Example]:
    """Return the first `limit` texts (None: all) of a file, checked as far as they are read.

    A name that ends in .csv is CSV with a header, in .jsonl an object per line; any other file is JSON, a list of
    objects. Raises DataError that names the file and the place in it.
    """
    text = read_text(path, _FORM)
    kind = path.suffix.lower()
    if kind == ".csv":
        return _check(_csv_rows(text, path), str(path), limit)
    if kind == ".jsonl":
        lines = ((n, line) for n, line in enumerate(text.split("\n"), start=1) if line.strip())
        return _check(((f"line {n}", parse_json(line, path, first_line=n)) for n, line in lines), str(path), limit)
    document = parse_json(text, path)
    if not isinstance(document, list):
        raise DataError(f"{path} holds no list of objects", remedy=f"give {_FORM}; JSON lines end in .jsonl")
    return _check(((f"[{number}]", row) for number, row in enumerate(document)), str(path), limit)


def load_hub_split(hub_id: str, split: str, limit: int | None = None) -> list[Example]:
    """Return the first `limit` texts (None: all) of one split of a hub data set with the columns text and label.

    Raises DataError as `load_split` does, and of rows that are not as they should be.
    """
    dataset = load_split(hub_id, split, ("label", "text"))
    columns = dataset[:limit]
    labels = columns["label"]
    names = getattr(dataset.features["label"], "names", None)
    if names is not None:  # class numbers; -1 stands for none
        labels = [None if number is None or number < 0 else names[number] for number in labels]
    rows = (
        (f"{split}[{i}]", {"text": text, "label": label})
        for i, (text, label) in enumerate(zip(columns["text"], labels, strict=True))
    )
    return _check(rows, f"hub data set {hub_id}", limit)


def _csv_rows(text: str, path: Path) -> Iterator[_Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    missing = [name for name in ("text", "label") if name not in (reader.fieldnames or ())]
    if missing:
        raise DataError(f"{path}, line 1: there is no column {missing[0]!r}", remedy="begin with the line text,label")
    try:
        for row in reader:
            yield f"line {reader.line_num}", row
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.reader.line_num}: {error}", remedy="quote fields as RFC 4180 says"
        ) from None


def _check(rows: Iterable[_Row], source: str, limit: int | None) -> list[Example]:
    examples = []
    for number, (place, row) in enumerate(itertools.islice(rows, limit)):
        fields = row if isinstance(row, dict) else {}
        text, label = fields.get("text"), fields.get("label")
        if isinstance(label, int) and not isinstance(label, bool):
            label = str(label)
        for name, value in (("text", text), ("label", label)):
            if not isinstance(value, str) or not value.strip():
                found = "missing" if value is None else f"{value!r}"
                raise DataError(f"{source}, {place}: {name} is {found}", remedy="give each text, and each a label")
        examples.append(Example(id=f"{number}", text=str(text), label=str(label).strip()))
    if not examples:
        raise DataError(f"{source} has no texts", remedy=f"give {_FORM}, with at least one")
    return examples
