"""SQuAD v1.1's metric as an `evaluate.Metric` that needs no hub: the class carries its own rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from harness.tasks.question_answering.metrics import score_answers
from harness.tasks.scoring import check_answers, mean_percent, summarise_scores
from harness.tasks.task import Scored

_DESCRIPTION = "Exact match and F1 of SQuAD v1.1 (the official evaluate-v1.1.py), computed without the hub."
_INPUTS = """
Args:
    predictions: list of {"id": str, "prediction_text": str}.
    references: list of {"id": str, "answers": {"text": [str, ...], "answer_start": [int, ...]}}.

Returns:
    exact_match and f1 in percent; exact_matches and f1_scores, one per reference and in that order, 0 to 1.
"""
_CITATION = "Rajpurkar et al. 2016: SQuAD: 100,000+ Questions for Machine Comprehension of Text. arXiv:1606.05250"


class SquadV1(evaluate.Metric):  # type: ignore[misc]
    """Drop-in for `evaluate.load("squad")`: same inputs, same "exact_match" and "f1", no download, no cache files.

    `SquadV1().compute(predictions=…, references=…)` also gives each question's scores.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**{"keep_in_memory": True} | arguments)

    def _info(self) -> evaluate.MetricInfo:
        text, start = datasets.Value("string"), datasets.Value("int32")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": {"id": text, "prediction_text": text},
                    "references": {
                        "id": text,
                        "answers": {"text": datasets.List(text), "answer_start": datasets.List(start)},
                    },
                }
            ),
        )

    def _build_data_dir(self) -> str:
        # The base class makes a directory in the user's cache even for a metric that is kept in memory.
        return str(self._data_dir_root if self.keep_in_memory else super()._build_data_dir())

    def _compute(self, predictions: list[dict[str, Any]], references: list[dict[str, Any]]) -> dict[str, Any]:
        texts = {row["id"]: row["prediction_text"] for row in predictions}
        scores = score_answers(texts, {row["id"]: row["answers"]["text"] for row in references})
        exact_matches, f1_scores = [row[1] for row in scores], [row[2] for row in scores]
        return {
            "exact_match": mean_percent(exact_matches),
            "f1": mean_percent(f1_scores),
            "exact_matches": exact_matches,
            "f1_scores": f1_scores,
        }


def evaluate_answers(ids: Sequence[str], texts: Sequence[str], references: Sequence[Sequence[str]]) -> Scored:
    """Return exact match and F1 in percent by name, and each answer with its scores (0 to 1), through `SquadV1`.

    Raises DataError if the three differ in length, are empty, or an id comes twice, which would silently shift or
    drop scores.
    """
    check_answers(ids, texts, references)
    result = SquadV1().compute(
        predictions=[{"id": key, "prediction_text": text} for key, text in zip(ids, texts, strict=True)],
        references=[
            # Where the answers stand doesn't count for the scores, but the official input has the field.
            {"id": key, "answers": {"text": list(answers), "answer_start": [0] * len(answers)}}
            for key, answers in zip(ids, references, strict=True)
        ],
    )
    return summarise_scores(ids, texts, {"em": result["exact_matches"], "f1": result["f1_scores"]})
