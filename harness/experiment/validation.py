"""One evaluation of a model, answer by answer, each part in its phase."""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass
from typing import Any

from harness.config import DataConfig
from harness.experiment.inputs import Inputs
from harness.measurement.clocks import PhaseClock
from harness.records.trial import ExamplePrediction
from harness.strategy import Logits, StartUp, TrainSetup
from harness.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One evaluation."""

    scores: dict[str, float]
    """In percent, by metric."""
    answers: list[ExamplePrediction]
    logits: Logits
    """As the strategy's evaluation gave them."""
    time_s: float


def metric_of(task: Task[Any], start_up: StartUp) -> Any:
    """Return the function that scores answers; through `evaluate` (the same numbers) unless strategies do without.

    The first call imports `evaluate`, which takes seconds.
    """
    if task.metric_module is None or start_up.score_without_evaluate:
        return task.score
    return importlib.import_module(task.metric_module).evaluate_answers


def validate(setup: TrainSetup, inputs: Inputs, data: DataConfig, phases: PhaseClock, start_up: StartUp) -> Scored:
    """Return the scores, every answer, and the seconds it took."""
    start_s = time.perf_counter()
    task, windows, examples = setup.task, inputs.validation_windows, inputs.validation
    with phases.measure("evaluation"):
        logits = setup.evaluate(setup, windows)
    with phases.measure(task.prediction_phase):
        texts = task.predict(windows, logits, examples, data)
    with phases.measure("scoring"):
        references = [task.references(example) for example in examples]
        scores, rows = metric_of(task, start_up)([example.id for example in examples], texts, references)
    return Scored(scores=scores, answers=rows, logits=logits, time_s=time.perf_counter() - start_s)
