"""Accuracy and macro F1, and how F1 is shared out to the examples."""

from __future__ import annotations

import random
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DataError
from harness.tasks.sequence_classification.metrics import score_labels

PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=60)


def macro_f1(predictions, labels):
    """Its definition, word for word."""
    scores = []
    for name in set(labels):
        hits = sum(p == t == name for p, t in zip(predictions, labels, strict=True))
        precision = hits / predictions.count(name) if name in predictions else 0.0
        recall = hits / labels.count(name)
        scores.append(2 * precision * recall / (precision + recall) if hits else 0.0)
    return statistics.fmean(scores)


def f1_shares(predictions, labels):
    ids = [str(number) for number in range(len(labels))]
    return [row.scores["f1"] for row in score_labels(ids, predictions, [[label] for label in labels])[1]]


@given(PAIRS)
def test_the_shares_mean_is_macro_f1(pairs):
    predictions, labels = (list(column) for column in zip(*pairs, strict=True))
    shares = f1_shares(predictions, labels)
    assert statistics.fmean(shares) == pytest.approx(macro_f1(predictions, labels), abs=1e-9)


def test_a_hand_made_case():
    scores, rows = score_labels(["1", "2", "3", "4"], ["a", "b", "b", "a"], [["a"], ["a"], ["b"], ["b"]])
    assert scores == pytest.approx({"accuracy": 50.0, "f1": 50.0})
    assert [row.scores["accuracy"] for row in rows] == [1.0, 0.0, 1.0, 0.0]


def test_the_shares_scatter_as_macro_f1_does_over_samples():
    """The standard error from the shares of one sample is that over many samples, within a tenth."""
    rng = random.Random(0)

    def sample():
        labels = rng.choices("abc", [0.5, 0.3, 0.2], k=400)
        return [t if rng.random() < 0.7 else rng.choice("abc") for t in labels], labels

    values, errors = [], []
    for _ in range(400):
        pairs = sample()
        values.append(macro_f1(*pairs))
        errors.append(np.std(f1_shares(*pairs), ddof=1) / np.sqrt(400))
    assert statistics.fmean(errors) == pytest.approx(statistics.stdev(values), rel=0.1)


def test_answers_without_their_example_are_refused():
    with pytest.raises(DataError):
        score_labels(["1", "1"], ["a", "b"], [["a"], ["b"]])
