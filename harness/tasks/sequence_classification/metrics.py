"""Accuracy and macro F1, each shared out to the examples so that two models can be compared example by example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.records.trial import ExamplePrediction
from harness.tasks.scoring import check_answers, mean_percent
from harness.tasks.task import Scored


def macro_f1_shares(predictions: Sequence[str], labels: Sequence[str]) -> list[float]:
    """Return a share of the macro F1 for each example; their mean is the macro F1 over the classes of `labels`, 0 to 1.

    F1 of a class is 2·TP ÷ (predicted + true), which no single example has. Its linearisation by the examples (the
    delta method, Efron & Tibshirani 1993, §21) has the same mean, and the right variance for large sets: an example
    adds to TP and takes from the counts as it is right or wrong. Single shares may lie below 0 or above 1.
    """
    found, true = Counter(predictions), Counter(labels)
    right = Counter(label for prediction, label in zip(predictions, labels, strict=True) if prediction == label)
    scores = {name: 2 * right[name] / (found[name] + true[name]) for name in true}
    scale = len(labels) / len(true)

    def influence(name: str, prediction: str, label: str) -> float:
        mine = (prediction == name) + (label == name)
        hit = prediction == name and label == name
        return (2 * hit - scores[name] * mine) / (found[name] + true[name])

    mean = sum(scores.values()) / len(true)
    return [
        mean + scale * sum(influence(name, prediction, label) for name in {prediction, label} & true.keys())
        for prediction, label in zip(predictions, labels, strict=True)
    ]


def score_labels(ids: Sequence[str], texts: Sequence[str], references: Sequence[Sequence[str]]) -> Scored:
    """Return accuracy and macro F1 in percent, and each answer with its scores; DataError as `check_answers` says."""
    check_answers(ids, texts, references)
    labels = [reference[0] for reference in references]
    shares = macro_f1_shares(texts, labels)
    rows = [
        ExamplePrediction(id=key, text=text, scores={"accuracy": float(text == label), "f1": share})
        for key, text, label, share in zip(ids, texts, labels, shares, strict=True)
    ]
    return {name: mean_percent([row.scores[name] for row in rows]) for name in ("accuracy", "f1")}, rows
