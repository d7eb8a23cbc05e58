"""The validation of one trial: forward passes, span search, scores, each in its phase."""

from __future__ import annotations

import time
from dataclasses import dataclass

from harness.experiment.inputs import Inputs
from harness.measurement.clocks import PhaseClock
from harness.records.trial import ExamplePrediction
from harness.strategy import Logits, TrainSetup
from harness.tasks.question_answering.examples import Example
from harness.tasks.question_answering.metrics import score_directly
from harness.tasks.question_answering.spans import best_answers


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One evaluation."""

    scores: dict[str, float]
    """In percent, by metric."""
    answers: list[ExamplePrediction]
    logits: Logits
    """As the strategy's evaluation gave them."""
    time_s: float


@dataclass(frozen=True, kw_only=True)
class Validation:
    """The validation of one trial, phase by phase."""

    setup: TrainSetup
    inputs: Inputs
    phases: PhaseClock
    without_evaluate: bool = False
    """Score by our own functions, not through `evaluate`: the same numbers."""

    def run(self) -> Scored:
        """Return EM and F1, every answer, and the seconds it took."""
        start_s = time.perf_counter()
        with self.phases.measure("evaluation"):
            starts, ends = self.setup.evaluate(self.setup, self.inputs.validation_windows)
        with self.phases.measure("span_search"):
            texts = best_answers(
                self.inputs.validation_windows,
                starts,
                ends,
                self.inputs.validation,
                max_answer_tokens=self.inputs.max_answer_tokens,
            )
        with self.phases.measure("scoring"):
            scores, rows = score(self.inputs.validation, texts, without_evaluate=self.without_evaluate)
        return Scored(
            scores=scores,
            answers=rows,
            logits=(starts, ends),
            time_s=time.perf_counter() - start_s,
        )


def score(
    examples: list[Example], texts: list[str], *, without_evaluate: bool = False
) -> tuple[dict[str, float], list[ExamplePrediction]]:
    """Return the scores in percent and each example's."""
    references = [[answer.text for answer in example.answers] for example in examples]
    ids = [example.id for example in examples]
    if without_evaluate:
        return score_directly(ids, texts, references)
    # `evaluate` takes seconds to import; whoever times the scoring imports this module before.
    from harness.tasks.question_answering.squad_metric import evaluate_answers

    return evaluate_answers(ids, texts, references)
