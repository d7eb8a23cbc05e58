"""Exact match and F1: the rules of the official SQuAD v1.1 script, by hand-made cases and an independent oracle."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.tasks.question_answering.metrics import (
    normalise_answer,
    score_answers,
)
from harness.tasks.scoring import mean_percent


def exact_match(prediction, references):
    return score_answers({"q": prediction}, {"q": references})[0][1]


def f1_score(prediction, references):
    return score_answers({"q": prediction}, {"q": references})[0][2]


TEXTS = st.lists(
    st.sampled_from(["the", "The", "an", "a", "cat", "Cat.", "sat,", "on", "mat", "1,939", "U.S.", "Ōtani’s", "—", "狐",
                     "theatre", "a.m.", "\u00a0", "-", "'s"]),
    min_size=1, max_size=8,
).map(" ".join)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("The Broncos", "broncos"),
        ("a an the", ""),
        ("theatre of an ant", "theatre of ant"),
        ("U.S. — (1,939)!", "us — 1939"),
        ("Ōtani’s", "ōtani’s"),
        ("well-known", "wellknown"),
        ("a.m.", "am"),
        ("  two \t words\n\u00a0here ", "two words here"),
        ("the-cat", "thecat"),
        ("$5%", "5"),
        ("“The” end", "“ ” end"),
        ("", ""),
    ],
)
def test_normalising_drops_case_articles_ascii_punctuation_and_extra_space(text, normalised):
    assert normalise_answer(text) == normalised


@pytest.mark.parametrize(
    ("prediction", "references", "em", "f1"),
    [
        ("The Denver Broncos!", ["Denver Broncos"], 1.0, 1.0),
        ("Denver", ["Denver Broncos"], 0.0, 2 / 3),
        ("Broncos Denver", ["Denver Broncos"], 0.0, 1.0),
        ("x y", ["Denver Broncos"], 0.0, 0.0),
        ("", ["Denver Broncos"], 0.0, 0.0),
        # Each word counts as often as it stands in both.
        ("buffalo buffalo", ["buffalo"], 0.0, 2 / 3),
        ("buffalo buffalo x", ["buffalo buffalo buffalo"], 0.0, 2 / 3),
        # The best reference counts, for each score on its own.
        ("1939", ["in 1939", "1939", "the year"], 1.0, 1.0),
        ("year 1939", ["in 1939", "year"], 0.0, 2 / 3),
        # v1.1: nothing equals nothing, but has no common word.
        ("the", ["a"], 1.0, 0.0),
        ("", [""], 1.0, 0.0),
        ("...", ["the", "x"], 1.0, 0.0),
        ("Ōtani’s", ["ōtani’s"], 1.0, 1.0),
        ("x", [], 0.0, 0.0),
    ],
)
def test_scores_follow_the_official_rules(prediction, references, em, f1):
    assert exact_match(prediction, references) == em
    assert f1_score(prediction, references) == pytest.approx(f1)


@settings(max_examples=200, deadline=None)
@given(prediction=TEXTS, references=st.lists(TEXTS, min_size=1, max_size=3))
def test_scores_are_those_of_torchmetrics(prediction, references):
    squad = pytest.importorskip("torchmetrics.functional.text").squad
    # torchmetrics takes over v2.0's rule for texts that normalise to nothing.
    assume(all(normalise_answer(text) for text in [prediction, *references]))
    oracle = squad(
        [{"id": "q", "prediction_text": prediction}],
        [{"id": "q", "answers": {"text": references, "answer_start": [0] * len(references)}}],
    )
    assert 100 * exact_match(prediction, references) == pytest.approx(float(oracle["exact_match"]))
    assert 100 * f1_score(prediction, references) == pytest.approx(float(oracle["f1"]), abs=1e-4)


@given(prediction=TEXTS, reference=TEXTS)
def test_f1_is_symmetric_and_full_for_an_exact_match(prediction, reference):
    assert f1_score(prediction, [reference]) == pytest.approx(f1_score(reference, [prediction]))
    if normalise_answer(prediction) and exact_match(prediction, [reference]):
        assert f1_score(prediction, [reference]) == 1.0


def test_answers_are_scored_in_the_order_of_the_questions_and_a_missing_one_scores_0():
    references = {"b": ["two"], "a": ["one"], "c": [""]}
    assert score_answers({"a": "one", "b": "two three", "unknown": "x"}, references) == [
        ("b", 0.0, pytest.approx(2 / 3)), ("a", 1.0, 1.0), ("c", 0.0, 0.0),
    ]  # fmt: skip


def test_the_mean_is_in_percent():
    assert mean_percent([1.0, 0.0, 0.0, 0.0]) == 25.0
    assert mean_percent([]) == 0.0
