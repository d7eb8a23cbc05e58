"""Accuracy and macro F1, each shared out to the examples so that two models can be compared example by example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.tasks.scoring import check_answers, summarise_scores
from harness.tasks.task import Scored


def score_labels(ids: Sequence[str], texts: Sequence[str], references: Sequence[Sequence[str]]) -> Scored:
    """Return accuracy and macro F1 in percent, and each answer with its scores; DataError as `check_answers` says.

    An example's F1 is its share of the macro F1 over the classes of `references`: their mean is the macro F1, 0 to 1.
    F1 of a class is 2·TP ÷ (predicted + true), which no single example has. Its linearisation by the examples (the
    delta method, Efron & Tibshirani 1993, §21) has the same mean, and the right variance for large sets: an example
    adds to TP and takes from the counts as it is right or wrong. Single shares may lie below 0 or above 1.
    """
    check_answers(ids, texts, references)
    labels = [reference[0] for reference in references]
    found, true = Counter(texts), Counter(labels)
    right = Counter(label for text, label in zip(texts, labels, strict=True) if text == label)
    f1 = {name: 2 * right[name] / (found[name] + true[name]) for name in true}
    mean, scale = sum(f1.values()) / len(true), len(labels) / len(true)
    shares = []
    for text, label in zip(texts, labels, strict=True):
        influence = 0.0
        for name in {text, label} & true.keys():
            mine = (text == name) + (label == name)
            influence += (2 * (text == label) - f1[name] * mine) / (found[name] + true[name])
        shares.append(mean + scale * influence)
    accuracy = [float(text == label) for text, label in zip(texts, labels, strict=True)]
    return summarise_scores(ids, texts, {"accuracy": accuracy, "f1": shares})
