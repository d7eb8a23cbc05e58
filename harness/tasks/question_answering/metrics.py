"""Exact match and F1 as SQuAD v1.1 defines them: the rules of the official evaluate-v1.1.py (Rajpurkar et al. 2016)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence

from harness.records.trial import ExamplePrediction
from harness.tasks.scoring import check_answers, mean_percent

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_answer(text: str) -> str:
    """Return `text` in lower case, without ASCII punctuation and English articles, white space collapsed."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact_match(prediction: str, references: Sequence[str]) -> float:
    """Return 1.0 if the normalised prediction equals one of the normalised references, else 0.0."""
    normalised = normalise_answer(prediction)
    return float(any(normalised == normalise_answer(reference) for reference in references))


def f1_score(prediction: str, references: Sequence[str]) -> float:
    """Return the best F1 (0 to 1) of the prediction's words against those of each reference.

    F1 = 2·p·r ÷ (p + r) over the normalised words as multisets; 0 without a common word. So it is 0 where both texts
    normalise to nothing, although exact match is 1 there: that is v1.1's rule (v2.0's is another).
    """
    words = normalise_answer(prediction).split()
    return max((_f1_of_words(words, normalise_answer(reference).split()) for reference in references), default=0.0)


def _f1_of_words(prediction: list[str], reference: list[str]) -> float:
    common = sum((Counter(prediction) & Counter(reference)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(prediction), common / len(reference)
    return 2 * precision * recall / (precision + recall)


def score_answers(
    predictions: Mapping[str, str], references: Mapping[str, Sequence[str]]
) -> list[tuple[str, float, float]]:
    """Return (id, exact match, F1) of each question in `references`, in its order; both scores 0 to 1.

    As in the official script, a question without a prediction scores 0, and a prediction without a question is
    ignored.
    """
    return [
        (key, exact_match(predictions[key], texts), f1_score(predictions[key], texts))
        if key in predictions
        else (key, 0.0, 0.0)
        for key, texts in references.items()
    ]


def score_directly(
    ids: Sequence[str], texts: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[dict[str, float], list[ExamplePrediction]]:
    """Return what `squad_metric.evaluate_answers` does, without `evaluate`; DataError as there."""
    check_answers(ids, texts, references)
    scores = score_answers(dict(zip(ids, texts, strict=True)), dict(zip(ids, references, strict=True)))
    rows = [
        ExamplePrediction(id=key, text=text, scores={"em": em, "f1": f1})
        for text, (key, em, f1) in zip(texts, scores, strict=True)
    ]
    return {name: mean_percent([row.scores[name] for row in rows]) for name in ("em", "f1")}, rows
