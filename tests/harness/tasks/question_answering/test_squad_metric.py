"""The metric as a class of `evaluate`: same numbers, no hub, no files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import evaluate
import pytest

import harness
from harness.errors import DataError
from harness.records.trial import ExamplePrediction
from harness.tasks.question_answering.metrics import score_answers
from harness.tasks.question_answering.squad_metric import SquadV1, evaluate_answers


def test_the_metric_takes_and_gives_what_the_official_one_does():
    metric = SquadV1()
    assert isinstance(metric, evaluate.Metric)
    result = metric.compute(
        predictions=[{"prediction_text": "1976", "id": "b"}, {"prediction_text": "Denver", "id": "a"}],
        references=[
            {"answers": {"answer_start": [97, 3], "text": ["Denver Broncos", "x"]}, "id": "a"},
            {"answers": {"answer_start": [9], "text": ["1976"]}, "id": "b"},
        ],
    )
    assert result["exact_match"] == 50.0
    assert result["f1"] == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert result["exact_matches"] == [0.0, 1.0]
    assert result["f1_scores"] == pytest.approx([2 / 3, 1.0])


def test_answers_can_be_added_in_batches_and_the_metric_used_again():
    metric = SquadV1()
    for expected, text in ((100.0, "one"), (0.0, "two")):
        for key in ("a", "b"):
            metric.add_batch(
                predictions=[{"id": key, "prediction_text": text}],
                references=[{"id": key, "answers": {"text": ["one"], "answer_start": [0]}}],
            )
        assert metric.compute()["exact_match"] == expected


def test_evaluating_gives_percent_and_each_answer_in_order():
    ids = [f"q{i}" for i in range(50)]
    texts = ["Denver" if i % 2 else "the 1976" for i in range(50)]
    references = [["Denver Broncos"] if i % 4 else ["1976", "Denver"] for i in range(50)]
    scores, rows = evaluate_answers(ids, texts, references)
    assert [row.id for row in rows] == ids
    assert [row.text for row in rows] == texts
    assert rows[0] == ExamplePrediction(id="q0", text="the 1976", scores={"em": 1.0, "f1": 1.0})
    assert [row.scores["f1"] for row in rows] == [
        f1 for _, _, f1 in score_answers(dict(zip(ids, texts, strict=True)), dict(zip(ids, references, strict=True)))
    ]
    assert scores["em"] == pytest.approx(100 * sum(row.scores["em"] for row in rows) / 50)
    assert scores["f1"] == pytest.approx(100 * sum(row.scores["f1"] for row in rows) / 50)


@pytest.mark.parametrize("text", ["", "狐 🦊 \u200b", "a\x00b", "x" * 10_000])
def test_unusual_texts_are_scored_and_kept(text):
    _, (row,) = evaluate_answers(["q"], [text], [[text or "x"]])
    assert row.text == text
    assert row.scores["em"] == float(bool(text))


@pytest.mark.parametrize(
    ("ids", "texts", "references"),
    [(["a", "b"], ["x"], [["x"], ["y"]]), (["a"], ["x"], []), (["a", "a"], ["x", "y"], [["x"], ["y"]]), ([], [], [])],
)
def test_scores_that_would_shift_or_vanish_are_an_error(ids, texts, references):
    with pytest.raises(DataError):
        evaluate_answers(ids, texts, references)


def test_nothing_is_written_to_the_users_directories_and_no_hub_is_asked(tmp_path):
    module = "harness.tasks.question_answering.squad_metric"
    code = f"from {module} import evaluate_answers\nprint(evaluate_answers(['q'], ['x'], [['x']])[0])"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_"))}
    environment = {
        **kept,
        "HOME": str(tmp_path),
        "PYTHONPATH": str(Path(harness.__file__).resolve().parent.parent),
        "HF_ENDPOINT": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.stdout.strip() == "{'em': 100.0, 'f1': 100.0}", done.stderr
    assert list(tmp_path.rglob("*")) == []
