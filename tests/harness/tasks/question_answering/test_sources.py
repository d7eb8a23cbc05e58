"""Data sources: what is read, and what each kind of damage is called."""

from __future__ import annotations

import copy
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.config import DataConfig
from harness.data import hub
from harness.errors import DataError
from harness.tasks.question_answering.examples import Answer, Example
from harness.tasks.question_answering.sources import load_examples, read_squad_file

SQUAD = Path(__file__).resolve().parents[5] / "shared" / "data" / "squad"

CONTEXT = "Ogród Saski 🦊 was opened in 1727 to the public."
DOCUMENT: dict[str, Any] = {
    "version": "1.1",
    "data": [
        {
            "title": "Warsaw",
            "paragraphs": [
                {
                    "context": CONTEXT,
                    "qas": [
                        {"id": "a", "question": "When?", "answers": [{"text": "1727", "answer_start": 28}]},
                        {
                            "id": "b",
                            "question": "What?",
                            "answers": [
                                {"text": "Ogród Saski", "answer_start": 0},
                                {"text": "Saski", "answer_start": 6},
                            ],
                        },
                    ],
                }
            ],
        },
        {
            "title": "Oslo",
            "paragraphs": [
                {
                    "context": "Oslo.",
                    "qas": [{"id": "c", "question": "Where?", "answers": [{"text": "Oslo", "answer_start": 0}]}],
                }
            ],
        },
    ],
}


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return path


def changed(change: Callable[[dict[str, Any], dict[str, Any]], None]) -> dict[str, Any]:
    """The document after `change(document, its second question)`."""
    document = copy.deepcopy(DOCUMENT)
    change(document, document["data"][0]["paragraphs"][0]["qas"][1])
    return document


def test_a_file_gives_its_questions_in_order_with_offsets_in_characters(tmp_path):
    examples = read_squad_file(write(tmp_path / "x.json", DOCUMENT))
    assert [item.id for item in examples] == ["a", "b", "c"]
    assert examples[0] == Example(id="a", question="When?", context=CONTEXT, answers=(Answer(text="1727", start=28),))
    assert [answer.text for answer in examples[1].answers] == ["Ogród Saski", "Saski"]
    for item in examples:
        for answer in item.answers:
            assert item.context[answer.start :].startswith(answer.text)


@pytest.mark.parametrize(("limit", "count"), [(1, 1), (2, 2), (3, 3), (1000, 3), (None, 3)])
def test_the_limit_is_a_maximum(tmp_path, limit, count):
    assert len(read_squad_file(write(tmp_path / "x.json", DOCUMENT), limit)) == count


def test_both_files_are_read_with_their_own_size(tmp_path):
    file = str(write(tmp_path / "x.json", DOCUMENT))
    config = DataConfig(source="files", train_file=file, validation_file=file, train_size=2, validation_size=1)
    train, validation = load_examples(config)
    assert (len(train), len(validation)) == (2, 1)


def test_a_byte_order_mark_is_no_error(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(DOCUMENT), encoding="utf-8-sig")
    assert len(read_squad_file(path)) == 3


def test_real_files_are_read_whole():
    if not SQUAD.is_dir():
        pytest.skip("no real SQuAD questions at ../shared/data/squad")
    for name in ("train", "validation"):
        text = (SQUAD / f"{name}.json").read_text(encoding="utf-8")
        assert len(read_squad_file(SQUAD / f"{name}.json")) == text.count('"answers"') > 100


PLACE = "data[0].paragraphs[0].qas[1]"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d, q: d.pop("data"), "data is missing"),
        (lambda d, q: d.update(data={}), "data is an object, expected a list"),
        (lambda d, q: d["data"].insert(1, None), "data[1] is null, expected an object"),
        (lambda d, q: d["data"][1].pop("paragraphs"), "data[1].paragraphs is missing"),
        (lambda d, q: d["data"][1]["paragraphs"][0].update(context=7), "data[1].paragraphs[0].context is a whole"),
        (lambda d, q: d["data"][1]["paragraphs"][0].update(qas="x"), "paragraphs[0].qas is a text, expected a list"),
        (lambda d, q: q.pop("answers"), f"{PLACE}.answers is missing"),
        (lambda d, q: q.update(answers={"text": "x"}), f"{PLACE}.answers is an object, expected a list"),
        (lambda d, q: q.pop("id"), f"{PLACE}.id is missing"),
        (lambda d, q: q.update(id=7), f"{PLACE}.id is a whole number, expected a text"),
        (lambda d, q: q.update(question=None), f"{PLACE}.question is null, expected a text"),
        (lambda d, q: q.update(question="\ud83e?"), f"{PLACE}.question has half a character"),
        (lambda d, q: q["answers"][1].pop("text"), f"{PLACE}.answers[1].text is missing"),
        (lambda d, q: q["answers"][1].update(answer_start="6"), f"{PLACE}.answers[1].answer_start is a text, expected"),
        (lambda d, q: q["answers"][1].update(answer_start=6.0), f"{PLACE}.answers[1].answer_start is float, expected"),
        (lambda d, q: q["answers"][1].update(answer_start=True), f"{PLACE}.answers[1].answer_start is bool, expected"),
        (lambda d, q: q["answers"][1].update(answer_start=7), "'b': the answer 'Saski' is not at answer_start 7"),
        (lambda d, q: q["answers"][1].update(answer_start=6 - len(CONTEXT)), "'b': the answer 'Saski' is not at"),
        (lambda d, q: q["answers"][1].update(answer_start=10**30), "question 'b': the answer 'Saski' is not at"),
        (lambda d, q: q["answers"][1].update(text=" ", answer_start=5), "question 'b' has an empty answer"),
        (lambda d, q: q.update(id="a"), "question id 'a' comes twice"),
        (lambda d, q: d.update(data=[]), "has no questions"),
    ],
)  # fmt: skip
def test_a_wrong_document_is_an_error_that_names_file_and_place(tmp_path, change, message):
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(changed(change)), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_squad_file(path)
    assert str(path) in caught.value.message
    assert message in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize("change", [lambda d, q: q.update(answers=[]), lambda d, q: q.update(is_impossible=True)])
def test_questions_without_answer_are_named_as_squad_v2(tmp_path, change):
    path = write(tmp_path / "v2.json", changed(change))
    with pytest.raises(DataError, match=r"question 'b' has no answer.*v2") as caught:
        read_squad_file(path)
    assert "v1.1" in caught.value.remedy


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n ", "is empty"),
        (b'{"data": [\n  {"title": }\n]}', "line 2, column 13"),
        (b'{"data": [', "line 1, column 11"),
        ('{"data": "Ogród"}'.encode("latin-1"), "not UTF-8: invalid continuation byte at byte 13"),
        (json.dumps(DOCUMENT).encode("utf-16"), "not UTF-8"),
        (b"[" * 200_000, "not valid JSON"),
        (b"[]", "the document is a list, expected an object"),
        (b"null", "the document is null, expected an object"),
        (b'{"id": "one question a line"}\n{"id": "as JSON lines"}\n', "line 2, column 1"),
    ],
)
def test_a_file_that_is_not_json_is_an_error_with_line_and_column(tmp_path, content, message):
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_squad_file(path)
    assert str(path) in caught.value.message
    assert message in caught.value.message
    assert caught.value.remedy


def test_a_missing_file_and_a_directory_are_errors_that_name_them(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.json does not exist"):
        read_squad_file(tmp_path / "nowhere.json")
    with pytest.raises(DataError, match="can't be read"):
        read_squad_file(tmp_path)


def test_the_generator_makes_two_sets_that_differ_and_come_again():
    config = DataConfig(source="generator", train_size=12, validation_size=8, generator_seed=3)
    train, validation = load_examples(config)
    assert (len(train), len(validation)) == (12, 8)
    assert not {item.context for item in train} & {item.context for item in validation}
    assert load_examples(config) == (train, validation)
    next_train, _ = load_examples(DataConfig(source="generator", train_size=12, validation_size=8, generator_seed=4))
    assert not {item.context for item in next_train} & {item.context for item in [*train, *validation]}


@pytest.fixture
def hub_away(monkeypatch, tmp_path) -> Path:
    """No hub, an empty data set cache, which is returned."""
    datasets_config = pytest.importorskip("datasets").config
    cache = tmp_path / "cache"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(datasets_config, "HF_DATASETS_CACHE", cache)
    hub._probe_remembered.cache_clear()
    return cache


def fill_cache(cache: Path, hub_id: str, rows: list[dict[str, Any]]) -> None:
    """Put a data set where `load_dataset(hub_id)` would have left it."""
    import datasets

    class Builder(datasets.GeneratorBasedBuilder):
        BUILDER_CONFIGS = [datasets.BuilderConfig(name="plain_text")]  # noqa: RUF012

        def _info(self):
            return datasets.DatasetInfo(features=datasets.Dataset.from_list(rows).features)

        def _split_generators(self, dl_manager):
            return [datasets.SplitGenerator(name="train", gen_kwargs={"part": rows}),
                    datasets.SplitGenerator(name="validation", gen_kwargs={"part": rows[:2]})]  # fmt: skip

        def _generate_examples(self, part):
            yield from enumerate(part)

    name = hub_id.split("/")[1]
    Builder(cache_dir=str(cache), repo_id=hub_id, dataset_name=name, hash="0123456789abcdef").download_and_prepare()


def hub_rows(count: int) -> list[dict[str, Any]]:
    return [
        {"id": str(i), "title": "x", "context": f"The {i}th.", "question": "Which?",
         "answers": {"text": [f"{i}th", "The"], "answer_start": [4, 0]}}
        for i in range(count)
    ]  # fmt: skip


def test_an_unreachable_hub_is_an_error_with_a_remedy(hub_away):
    with pytest.raises(DataError, match="the hub can't be reached for data set rajpurkar/squad") as caught:
        load_examples(DataConfig())
    assert "--train-file" in caught.value.remedy
    assert "--data generator" in caught.value.remedy


def test_a_hub_that_never_answers_is_an_error_too(hub_away, monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(DataError, match="can't be reached"):
            load_examples(DataConfig())


def test_what_is_in_the_cache_needs_no_hub(hub_away):
    fill_cache(hub_away, "someone/squad", hub_rows(5))
    train, validation = load_examples(DataConfig(hub_id="someone/squad", train_size=3, validation_size=None))
    assert [item.id for item in train] == ["0", "1", "2"]
    assert len(validation) == 2
    assert train[1] == Example(
        id="1", question="Which?", context="The 1th.",
        answers=(Answer(text="1th", start=4), Answer(text="The", start=0)),
    )  # fmt: skip
    assert len(load_examples(DataConfig(hub_id="someone/squad", train_size=1000))[0]) == 5


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"answers": {"text": [], "answer_start": []}}, "question '4' has no answer"),
        ({"answers": {"text": ["4th"], "answer_start": [3]}}, "'4': the answer '4th' is not at answer_start 3"),
        ({"answers": {"text": ["4th"], "answer_start": [4, 5]}}, "train[4].answers has 1 texts and 2 starts"),
        ({"id": "3"}, "question id '3' comes twice"),
        ({"question": None}, "train[4].question is null"),
    ],
)
def test_rows_of_the_hub_are_checked_like_files(hub_away, row, message):
    rows = hub_rows(5)
    rows[4] |= row
    fill_cache(hub_away, "someone/squad", rows)
    with pytest.raises(DataError) as caught:
        load_examples(DataConfig(hub_id="someone/squad"))
    assert message in caught.value.message
    assert "someone/squad" in caught.value.message


def test_a_data_set_of_another_kind_is_an_error_that_names_the_column(hub_away):
    fill_cache(hub_away, "someone/other", [{"id": "1", "text": "x"}])
    with pytest.raises(DataError, match="someone/other has no column 'answers'"):
        load_examples(DataConfig(hub_id="someone/other"))
