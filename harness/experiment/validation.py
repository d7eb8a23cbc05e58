"""The validation of one trial: forward passes, span search, scores, each in its phase."""

from __future__ import annotations

import time
from dataclasses import dataclass

from harness.data.examples import Example
from harness.experiment.inputs import Inputs
from harness.measurement.clocks import PhaseClock
from harness.records import ExamplePrediction, QualityRecord
from harness.strategy import Logits, TrainSetup
from harness.training.spans import best_answers
from harness.training.squad_metric import evaluate_answers


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One evaluation."""

    quality: QualityRecord
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
            em, f1, rows = score(self.inputs.validation, texts)
        return Scored(
            quality=QualityRecord(em=em, f1=f1),
            answers=rows,
            logits=(starts, ends),
            time_s=time.perf_counter() - start_s,
        )


def score(examples: list[Example], texts: list[str]) -> tuple[float, float, list[ExamplePrediction]]:
    """Return EM and F1 in percent and each example's score."""
    references = [[answer.text for answer in example.answers] for example in examples]
    return evaluate_answers([example.id for example in examples], texts, references)
