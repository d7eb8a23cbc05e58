"""Exact match and F1 as SQuAD v1.1 defines them: the rules of the official evaluate-v1.1.py (Rajpurkar et al. 2016)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence

from harness.tasks.scoring import check_answers, summarise_scores
from harness.tasks.task import Scored

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_answer(text: str) -> str:
    """Return `text` in lower case, without ASCII punctuation and English articles, white space collapsed."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def score_answers(
    predictions: Mapping[str, str], references: Mapping[str, Sequence[str]]
) -> list[tuple[str, float, float]]:
    """Return (id, exact match, F1) of each question in `references`, in its order; both scores 0 to 1.

    Exact match is 1 if the normalised prediction equals a normalised reference. F1 = 2·p·r ÷ (p + r) over the
    normalised words as multisets, for the best reference; 0 without a common word. So it is 0 where both texts
    normalise to nothing, although exact match is 1 there: that is v1.1's rule (v2.0's is another). As in the official
    script, a question without a prediction scores 0, and a prediction without a question is ignored.
    """
    rows = []
    for key, texts in references.items():
        if key not in predictions:
            rows.append((key, 0.0, 0.0))
            continue
        prediction, normalised = normalise_answer(predictions[key]), [normalise_answer(text) for text in texts]
        words, best = prediction.split(), 0.0
        for reference in (text.split() for text in normalised):
            common = (Counter(words) & Counter(reference)).total()
            if common:
                precision, recall = common / len(words), common / len(reference)
                best = max(best, 2 * precision * recall / (precision + recall))
        rows.append((key, float(prediction in normalised), best))
    return rows


def score_directly(ids: Sequence[str], texts: Sequence[str], references: Sequence[Sequence[str]]) -> Scored:
    """Return what `squad_metric.evaluate_answers` does, without `evaluate`; DataError as there."""
    check_answers(ids, texts, references)
    scores = score_answers(dict(zip(ids, texts, strict=True)), dict(zip(ids, references, strict=True)))
    return summarise_scores(ids, texts, {"em": [em for _, em, _ in scores], "f1": [f1 for _, _, f1 in scores]})
