"""Labelled texts from files, the hub and the generator, and what each kind of damage is called."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.config import DataConfig
from harness.data import hub
from harness.errors import DataError
from harness.tasks.sequence_classification import sources
from harness.tasks.sequence_classification.generator import generate_examples
from harness.tasks.sequence_classification.sources import load_examples, read_file

ROWS = [{"text": 'A fine day, "really".', "label": "good"}, {"text": "Zażółć 🦊\nrain", "label": "bad"}]
CSV = 'text,label\n"A fine day, ""really"".",good\n"Zażółć 🦊\nrain",bad\n'


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", CSV),
        ("X.CSV", "\ufeff" + CSV),
        ("x.json", json.dumps(ROWS)),
        ("x.jsonl", "\n".join(map(json.dumps, ROWS)) + "\n\n"),
    ],
)
def test_all_forms_of_file_give_the_same_examples(tmp_path, name, text):
    examples = read_file(write(tmp_path / name, text))
    assert [(one.id, one.text, one.label) for one in examples] == [
        (str(number), row["text"], row["label"]) for number, row in enumerate(ROWS)
    ]
    assert len(read_file(tmp_path / name, 1)) == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", "texts,label\na,b\n", "line 1: there is no column 'text'"),
        ("x.csv", "text,label\na,b\nc\n", "line 3: label is missing"),
        ("x.csv", "text,label\n ,b\n", "line 2: text is ' '"),
        ("x.csv", 'text,label\n"a"b,c\n', "line 2: "),
        ("x.csv", "text,label\n", "has no texts"),
        ("x.csv", "  \n", "is empty"),
        ("x.json", '{"text": "a", "label": "b"}', "holds no list of objects"),
        ("x.json", '[{"text": "a", "label": true}]', "[0]: label is True"),
        ("x.json", "[1]", "[0]: text is missing"),
        ("x.json", '[{"text": "a",}]', "not valid JSON"),
        ("x.jsonl", '{"text": "a", "label": "b"}\n{"text": 1}\n', "line 2: text is 1"),
        ("x.jsonl", '{"text": "a", "label": "b"}\n{"text"\n', "at line 2"),
    ],
)
def test_damage_is_one_line_with_file_place_and_remedy(tmp_path, name, text, message):
    path = write(tmp_path / name, text)
    with pytest.raises(DataError) as caught:
        read_file(path)
    assert message in caught.value.message
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.remedy


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_file(tmp_path / "x.csv")


def from_files(tmp_path, train, validation):
    paths = [write(tmp_path / f"{i}.csv", "text,label\n" + rows) for i, rows in enumerate((train, validation))]
    return load_examples(DataConfig(source="files", train_file=str(paths[0]), validation_file=str(paths[1])))


def test_classes_are_those_of_the_training_set(tmp_path):
    train, validation = from_files(tmp_path, "x,2\ny,1\nz,3\n", "w,3\n")
    assert {example.classes for example in (*train, *validation)} == {("1", "2", "3")}


def test_a_label_that_training_never_shows_is_an_error(tmp_path):
    with pytest.raises(DataError, match="the label 'c', which no text of the training set has"):
        from_files(tmp_path, "x,a\ny,b\n", "z,c\n")


def test_one_class_is_nothing_to_choose_from(tmp_path):
    with pytest.raises(DataError, match="all texts of the training set have the label 'a'"):
        from_files(tmp_path, "x,a\ny,a\n", "z,a\n")


class Columns(dict):
    """As much of a hub data set as is looked at."""

    column_names = ("text", "label")

    def __getitem__(self, rows):
        return {name: self.get(name)[rows] for name in self}


@pytest.mark.parametrize(("names", "labels"), [(("bad", "good"), [1, 0, 1]), (None, ["good", "bad", "good"])])
def test_rows_of_the_hub_become_examples(monkeypatch, names, labels):
    columns = Columns(text=["x", "y", "z"], label=labels)
    columns.features = {"label": SimpleNamespace(names=names)}
    monkeypatch.setattr(hub, "_cached_split", lambda *_: columns)
    train, validation = load_examples(DataConfig(hub_id="someone/reviews", train_size=2, validation_size=None))
    assert [(one.text, one.label) for one in train] == [("x", "good"), ("y", "bad")]
    assert len(validation) == 3


def test_an_unlabelled_row_of_the_hub_is_an_error_that_names_it(monkeypatch):
    columns = Columns(text=["x", "y"], label=[0, -1])
    columns.features = {"label": SimpleNamespace(names=("bad", "good"))}
    monkeypatch.setattr(hub, "_cached_split", lambda *_: columns)
    with pytest.raises(DataError, match=r"someone/reviews, train\[1\]: label is missing"):
        load_examples(DataConfig(hub_id="someone/reviews"))


def test_a_hub_data_set_without_labels_is_an_error_that_names_the_column(monkeypatch):
    columns = Columns(text=["x"])
    columns.column_names = ("text",)
    monkeypatch.setattr(hub, "_cached_split", lambda *_: columns)
    with pytest.raises(DataError, match="someone/texts has no column 'label'"):
        sources.load_hub_split("someone/texts", "train")


def test_an_unreachable_hub_is_an_error_with_a_remedy(monkeypatch):
    monkeypatch.setattr(hub, "_cached_split", lambda *_: None)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match="the hub can't be reached for data set someone/reviews"):
        load_examples(DataConfig(hub_id="someone/reviews"))


def test_generated_reviews_show_all_classes_and_lengths_about_the_mean():
    examples = generate_examples(size=300, seed=0, mean_tokens=40)
    assert {example.label for example in examples} == {"negative", "neutral", "positive"}
    words = [len(example.text.split()) for example in examples]
    assert 25 < sum(words) / len(words) < 40
    assert min(words) < 20
    assert max(words) > 45
